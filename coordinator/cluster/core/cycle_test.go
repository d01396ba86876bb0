package core

import "testing"

func TestALoadThatWaitsForItselfIsACycle(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		# the load of 0.1.1 asks for its own key
		Ask id=2 key=k wait=30s behind=0.1.1
			→ o: Join ask=2 key=k gen=1 wait=30s
		o: Parked ask=2 flight=0.1.1 holder=a/1
			→ o: Leave ask=2
			→ Answered ask=2 kind=error failure=2147483648
	`)
}

func TestACycleOverTwoNodesComesHome(t *testing.T) {
	// a computes k, for which it waits for other; b computes other and waits for k.
	transcript(t, scene{self: "a", others: "b o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Ask id=2 key=other wait=30s behind=0.1.1
			→ o: Join ask=2 key=other gen=1 wait=30s
		o: Parked ask=2 flight=0.1.2 holder=b/1
			→ b: Probe for=0.1.1 from=a/1 ask=2 at=0.1.2
		b: Cycle ask=2
			→ o: Leave ask=2
			→ Answered ask=2 kind=error failure=2147483648
		# a late one ends nothing
		b: Cycle ask=2
	`)
	transcript(t, scene{self: "b", others: "a o", table: "1:o/1@1"}, `
		Ask id=1 key=other wait=30s
			→ o: Join ask=1 key=other gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
			→ o: Extend flights=0.1.2
			→ Answered ask=1 kind=lease flight=0.1.2 life=30s
		Ask id=2 key=k wait=30s behind=0.1.2
			→ o: Join ask=2 key=k gen=1 wait=30s
		o: Parked ask=2 flight=0.1.1 holder=a/1
			→ a: Probe for=0.1.2 from=b/1 ask=2 at=0.1.1
		a: Probe for=0.1.1 from=a/1 ask=2 at=0.1.2
			→ a: Cycle ask=2
	`)
}

func TestAProbeGoesOnAlongWhatItsFlightWaitsFor(t *testing.T) {
	transcript(t, scene{self: "b", others: "a c o", table: "1:o/1@1"}, `
		Ask id=1 key=other wait=30s
			→ o: Join ask=1 key=other gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
			→ o: Extend flights=0.1.2
			→ Answered ask=1 kind=lease flight=0.1.2 life=30s
		Ask id=2 key=third wait=30s behind=0.1.2
			→ o: Join ask=2 key=third gen=1 wait=30s
		o: Parked ask=2 flight=0.1.3 holder=c/1
			→ c: Probe for=0.1.2 from=b/1 ask=2 at=0.1.3
		a: Probe for=0.1.1 from=a/1 ask=2 at=0.1.2
			→ c: Probe for=0.1.1 from=a/1 ask=2 at=0.1.3 hops=1
		# not for ever, and not along what this node does not hold
		a: Probe for=0.1.1 from=a/1 ask=2 at=0.1.2 hops=63
			→ c: Probe for=0.1.1 from=a/1 ask=2 at=0.1.3 hops=64
		a: Probe for=0.1.1 from=a/1 ask=2 at=0.1.2 hops=64
		a: Probe for=0.1.1 from=a/1 ask=2 at=0.1.9
	`)
}

func TestCyclesAreLookedForWithEveryHeartbeat(t *testing.T) {
	p := begin(t, scene{self: "a", others: "b o", table: "1:o/1@1"})
	var behind []Flight
	p.step(Ask{ID: 1, Key: "k", Wait: readDuration("30s"), Behind: func() []Flight { return behind }})
	p.play("o: Parked ask=1 flight=0.1.2 holder=b/1")
	// A load of this node comes to wait for the Ask only now.
	behind = []Flight{readFlight("0.1.1")}
	p.said.Reset()
	p.play("+1s")
	if got, want := p.said.String(), "\t\t\t→ 1s b: Probe for=0.1.1 from=a/1 ask=1 at=0.1.2\n"; got != want {
		t.Errorf("with the next heartbeat:\n%swant\n%s", got, want)
	}
}
