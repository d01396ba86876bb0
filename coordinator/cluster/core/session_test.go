package core

import "testing"

func TestAStreamBeginsWithWhatEachSideWantsAndHolds(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Ask id=2 key=other since=10 wait=30s
			→ o: Join ask=2 key=other gen=1 since=10 wait=30s
		o: Parked ask=2 flight=0.1.2 holder=o/1
		Closed peer=o/1
		+1s
		Opened peer=o/1
			→ 1s o: Join ask=2 key=other gen=1 since=10 wait=29s on=0.1.2 holder=o/1
			→ 1s o: Rejoin flight=0.1.1 key=k life=29s
			→ 1s o: End
		o: Extended kept=0.1.1
	`)
}

func TestAJoinThatIsSentAgainIsTheSame(t *testing.T) {
	transcript(t, scene{self: "o", others: "a h"}, `
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		h: Idle flight=0.1.1
		Opened peer=a/1
			→ a: End
		# it cancels nothing on its way
		a: Join ask=1 key=k gen=1 wait=30s on=0.1.1 holder=h/1
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		a: End
		h: Outcome flight=0.1.1 key=k kind=value value=10
			→ a: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10
	`)
}

func TestAJoinThatDoesNotComeBackIsForgotten(t *testing.T) {
	transcript(t, scene{self: "o", others: "a h"}, `
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		h: Idle flight=0.1.1
			→ h: Unwanted flight=0.1.1
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=0.1.1 holder=h/1
		Closed peer=a/1
		Opened peer=a/1
			→ a: End
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=0.1.1 holder=h/1
		# it took the first one back meanwhile
		a: End
		a: Leave ask=2
			→ h: Unwanted flight=0.1.1
	`)
}

func TestWhoIsAdriftIsGrantedNothing(t *testing.T) {
	transcript(t, scene{self: "o", others: "a h"}, `
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		Closed peer=a/1
		h: Outcome flight=0.1.1 kind=abandon
			→ h: Taken flight=0.1.1
		# it comes back, and is the first
		Opened peer=a/1
			→ a: End
		a: Join ask=1 key=k gen=1 wait=29s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=29s
	`)
}

func TestALeaseWhoseGrantWasLostGoesOn(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		Closed peer=a/1
		Opened peer=a/1
			→ a: End
		# it was never heard of: a asks again
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=a/1
		a: End
			→ (holder lost node=a/1 key=k)
			→ a: Extended void=0.1.1
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
			→ a: Parked ask=1 flight=0.1.2 holder=b/1
	`)
}

func TestALeaseIsClaimedOnTheNextStream(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		Closed peer=a/1
		Opened peer=a/1
			→ a: End
		a: Rejoin flight=0.1.1 key=k life=30s
			→ a: Extended kept=0.1.1
		a: End
	`)
}

func TestWhatBelongsToAnOlderSessionIsDropped(t *testing.T) {
	p := transcript(t, scene{self: "o", others: "a"}, `
		Opened peer=a/1
			→ a: End
	`)
	late := Received{From: Node{"a", 1}, Session: p.session["a"] - 1, Message: read(messages, "Join ask=1 key=k gen=1 wait=30s").(Message)}
	if acted := p.Step(p.now, late); len(acted) != 0 {
		t.Errorf("a message of the last session: %v", acted)
	}
}

func TestAStreamToANodeThatIsNotKnownIsNotHeard(t *testing.T) {
	transcript(t, scene{self: "y"}, `
		Opened peer=b/1
		Changed revision=12 nodes=b/1@12
		b: Join ask=1 key=k gen=1 wait=30s
		# whoever opens streams waits until the record is known
		Opened peer=b/1
			→ b: End
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
	`)
}

func TestTheEndOfAnOlderSessionClosesNothing(t *testing.T) {
	p := transcript(t, scene{self: "o", others: "a"}, `
		Opened peer=a/1
			→ a: End
	`)
	p.Step(p.now, Closed{Node{"a", 1}, p.session["a"] - 1})
	if p.nodes["a"].session == 0 {
		t.Error("the present session ended with the last one")
	}
}
