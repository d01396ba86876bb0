package core

import (
	"math"
	"testing"
)

func TestALeaseCountsFromBeforeItsRenewalIsSent(t *testing.T) {
	p := transcript(t, scene{self: "a", byHand: true}, `
		Tick
			→ Renew nonce=1
		+300ms
		Renewed ok nonce=1 table=6 inv=8
			→ 300ms (restored took=300ms)
		# until t0 + L − g = 1.9s, not counted from the answer
		+1599ms
			→ 400ms Renew nonce=2
	`)
	if got, want := p.Until().Sub(p.began), readDuration("1.9s"); got != want {
		t.Errorf("leased until %v, want %v", got, want)
	}
}

func TestALeaseWaitsUntilWhatItsRenewalReadHasBeenApplied(t *testing.T) {
	transcript(t, scene{self: "a", byHand: true}, `
		Tick
			→ Renew nonce=1
		Renewed ok nonce=1 table=6 inv=12
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=unavailable
		Changed revision=11
		Changed revision=12
			→ (restored)
		Ask id=2 key=k wait=30s
			→ Answered ask=2 kind=lease flight=0.1.1 life=30s
	`)
}

func TestALeaseLapsesAndIsRestored(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		renewals fail
		+1899999999ns
		Ask id=1 key=k wait=30s
			→ 1.899999999s Answered ask=1 kind=lease flight=0.1.1 life=30s
		+1ns
			→ 1.9s (lapsed)
		# a flight that is there goes on; nobody else is granted anything
		b: Join ask=1 key=other wait=30s
		Ask id=2 key=third wait=30s
			→ 1.9s Answered ask=2 kind=unavailable
		renewals work
		+100ms
			→ 2s (restored took=100ms)
			→ 2s b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=29.9s
	`)
}

func TestARenewalWhoseAnswerWasLostCountsFromItsOwnBeginning(t *testing.T) {
	p := transcript(t, scene{self: "a", byHand: true}, `
		Tick
			→ Renew nonce=1
		+1s
		Renewed
		+100ms
			→ 1.1s Renew nonce=2
		# the record still has the first nonce: the second has not been there
		Renewed ok nonce=1 table=6
			→ 1.1s (restored took=1.1s)
			→ 1.1s Renew nonce=3
		+1ns
	`)
	if got, want := p.Until().Sub(p.began), readDuration("1.9s"); got != want {
		t.Errorf("leased until %v, want %v", got, want)
	}
}

func TestANonceThatIsNotKnownExtendsNothing(t *testing.T) {
	transcript(t, scene{self: "a", byHand: true}, `
		Tick
			→ Renew nonce=1
		Renewed ok nonce=9 table=6
			→ Renew nonce=2
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=unavailable
		+1ns
	`)
}

func TestADoubtedClockExtendsNoLease(t *testing.T) {
	transcript(t, scene{self: "a"}, `
		Doubted clock
		+1900ms
			→ 1.9s (lapsed)
		Ask id=1 key=k wait=30s
			→ 1.9s Answered ask=1 kind=unavailable
		# renewals went on meanwhile, and count once the clock is trusted
		Doubted
			→ 1.9s (restored)
	`)
}

func TestASilentNodeIsBuriedAfterALeaseAndTheGuard(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1"}, `
		silent b
		+2099999999ns
		+1ns
			→ 2.1s (buried node=b/1)
			→ 2.1s Write id=1 table=2:a/1@2 tableRevision=6 bury=b/1@5
	`)
}

func TestANodeThatDoesNotRenewBuriesNobody(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		silent b
		+800ms
		renewals fail
		+1399ms
		# its own outage says nothing about the others: it counts anew
		renewals work
		+1ms
		+2099999999ns
		+1ns
			→ 4.3s (buried node=b/1)
			→ 4.3s Write id=1 table=2:a/1@1 tableRevision=6 bury=b/1@5
	`)
}

func TestANodeWhoseWatchIsBehindBuriesNobody(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		silent b
		+1600ms
		# renewals read records that have yet to be applied: b's may be among them
		renewals lag
		+700ms
		renewals work
		+200ms
			→ 2.5s (buried node=b/1)
			→ 2.5s Write id=1 table=2:a/1@1 tableRevision=6 bury=b/1@5
	`)
}

func TestATombstoneCountsForTheIncarnationThatItNames(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1"}, `
		Changed revision=11 nodes=b/2@11
			→ Write id=1 table=2:b/2@2 tableRevision=6
		Tick
		Changed revision=12 nodes=b/1@12+tombstone
		# an older record neither
		Changed revision=13 nodes=b/2@4+tombstone
		Opened peer=b/2
			→ b: End
	`)
}

func TestARecordThatIsRemovedIsATombstone(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1"}, `
		Changed revision=11 nodes=-b@11
			→ Write id=1 table=2:a/1@2 tableRevision=6
		Tick
	`)
}

func TestAFencedNodeAnswersEverybodyAndIsOver(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Ask id=2 key=other wait=30s
			→ o: Join ask=2 key=other gen=1 wait=30s
		o: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
			→ o: Extend flights=0.1.2
			→ Answered ask=2 kind=lease flight=0.1.2 life=30s
		Done flight=0.1.2 kind=value value=10
			→ o: Outcome flight=0.1.2 key=other kind=value value=10
		Ask id=3 key=third wait=30s
			→ o: Join ask=3 key=third gen=1 wait=30s
		Changed revision=11 nodes=h/1@11+tombstone
			→ (fenced)
			→ Answered ask=3 kind=unavailable
			→ Lost flight=0.1.1
			→ Settled flight=0.1.2 void
			→ Fenced
		Ask id=4 key=k wait=30s
			→ Answered ask=4 kind=unavailable
		Done flight=0.1.1 kind=value value=10
			→ Settled flight=0.1.1 void
		Committed id=1 revision=15
		Tick
	`)
}

func TestAFencedOwnerGrantsNothingAnyMore(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=o/1
		Changed revision=11 nodes=o/2@11
			→ (fenced)
			→ Lost flight=0.1.1
			→ Fenced
	`)
}

func TestARenewalThatFindsATombstoneFences(t *testing.T) {
	transcript(t, scene{self: "a", byHand: true}, `
		Tick
			→ Renew nonce=1
		Renewed ok gone
			→ (fenced)
			→ Fenced
	`)
}

func TestATombstoneMattersToWhoOwnsWhat(t *testing.T) {
	p := begin(t, scene{self: "o", others: "x"})
	if !p.learnNode(readChange("x/1@12+tombstone")) {
		t.Error("a node's death changes nothing")
	}
}

func TestANodeThatIsDeadAtBirthSaysSo(t *testing.T) {
	c := New(Config{Self: Node{"a", 1}, Partitions: 1, Times: DefaultTimes()}, Snapshot{Revision: 10, Nodes: []NodeChange{readChange("a/1@9+tombstone")}}, 1)
	if got := c.Step(1, Tick{}); len(got) != 1 || got[0] != Action(Fenced{}) {
		t.Errorf("the first Step gave %v, want Fenced", got)
	}
	if c.Next() != math.MaxInt64 {
		t.Errorf("it wants a Tick at %d", c.Next())
	}
}

func TestTheTombstoneOfAnEarlierLifeFencesNobody(t *testing.T) {
	transcript(t, scene{self: "b", others: "a"}, `
		Changed revision=11 nodes=b/0@11+tombstone
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
	`)
}
