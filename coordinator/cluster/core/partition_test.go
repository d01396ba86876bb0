package core

import "testing"

// A Join in each state of a partition: see part.

func TestInNONEAJoinIsToldWhoIsNotTheOwner(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b", table: "3:b/1@3"}, `
		a: Join ask=1 key=k gen=2 wait=30s
			→ a: Reply ask=1 kind=wrong-owner gen=3
		# one that knows of a newer table waits for that, as long as it does
		a: Join ask=2 key=k gen=4 wait=30s
		a: Join ask=3 key=k gen=4 wait=30s
		a: Leave ask=3
		Changed revision=11 table=4:b/1@4
			→ a: Reply ask=2 kind=wrong-owner gen=4
	`)
}

func TestAJoinThatHasSeenMoreWaitsUntilItsOwnerHas(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		a: Join ask=1 key=k gen=1 since=12 wait=30s
		Changed revision=11
		+100ms
		# its lease counts from when it came
		Changed revision=12
			→ 100ms a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=29.9s
	`)
}

func TestInRECOVERINGAJoinWaits(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b", table: "3:o/1@3"}, `
		a: Join ask=1 key=k gen=3 wait=30s
		a: End round=1
		+499ms
		# b is silent
		+1ms
			→ 500ms (active took=500ms)
			→ 500ms a: Reply ask=1 kind=lease gen=3 flight=0.3.1 life=29.5s
	`)
}

func TestRECOVERINGEndsWithTheLastEnd(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b", table: "3:o/1@3"}, `
		a: Join ask=1 key=k gen=3 wait=30s
		a: End round=1
		# of an earlier recovery; and what begins a session
		b: End round=7
		b: End
		b: End round=1
			→ (active)
			→ a: Reply ask=1 kind=lease gen=3 flight=0.3.1 life=30s
	`)
}

func TestADeadNodeIsNotWaitedForInRECOVERING(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b", table: "3:o/1@3"}, `
		a: Join ask=1 key=k gen=3 wait=30s
		a: End round=1
		Changed revision=11 nodes=b/1@11+tombstone
			→ (active)
			→ a: Reply ask=1 kind=lease gen=3 flight=0.3.1 life=30s
	`)
}

func TestInACTIVEAJoinIsServed(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		Ask id=1 key=k wait=30s
		kept other 9+keep
		b: Join ask=2 key=other gen=1 since=10 wait=30s
			→ b: Reply ask=2 kind=value gen=1 value=9+keep
	`)
}

func TestInSUSPENDEDAJoinWaitsUnlessItMayNotBeGrantedAnything(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		renewals fail
		+2s
			→ 1.9s (lapsed)
		kept k 9+keep
		a: Join ask=1 key=k gen=1 wait=30s
		b: Join ask=1 key=k gen=1 wait=30s lapsed
			→ 2s b: Reply ask=1 kind=unavailable gen=1
		renewals work
		+100ms
			→ 2.1s (restored took=200ms)
			→ 2.1s a: Reply ask=1 kind=value gen=1 value=9+keep
	`)
}

func TestEveryExitToNONETellsWhoWaits(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		# the new owner is quicker than the table
		b: Recover round=4 parts=0.2
			→ b: Reply ask=1 kind=wrong-owner gen=2
			→ b: End round=4
		# what was granted is b's business now
		a: Outcome flight=0.1.1 key=k kind=value value=10
		a: Extend round=3 flights=0.1.1
	`)
}

func TestAnAskFollowsItsPartition(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Parked ask=1 flight=0.1.1 holder=m/1
		+100ms
		Changed revision=20 table=2:m/1@2
			→ 100ms m: Join ask=1 key=k gen=2 since=10 wait=29.9s on=0.1.1 holder=m/1
		o: Reply ask=1 kind=wrong-owner gen=2
		m: Reply ask=1 kind=value gen=2 flight=0.1.1 value=10+keep
			→ 100ms m: Took ask=1 flight=0.1.1
			→ 100ms Answered ask=1 kind=value value=10+keep
	`)
}

func TestAnAskThatIsToldWrongOwnerWaitsForTheTable(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=wrong-owner gen=2
		Changed revision=20 table=2:m/1@2
			→ m: Join ask=1 key=k gen=2 wait=30s
		# one that knows less than this node is asked again after a moment
		m: Reply ask=1 kind=wrong-owner gen=1
		+99ms
		+1ms
			→ 100ms m: Join ask=1 key=k gen=2 wait=29.9s
	`)
}

func TestAnAskWhoseOwnerIsOutOfReachIsGivenUpInTime(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1", apart: true}, `
		Ask id=1 key=k wait=30s
		# nor may one without a lease wait for anybody
		Ask id=2 key=k wait=30s lapsed
			→ Answered ask=2 kind=unavailable
		+4999999999ns
		+1ns
			→ 5s (unreachable node=o/1 key=k)
			→ 5s Answered ask=1 kind=unavailable
	`)
}

func TestAnAskIsSentOnceTheStreamOpens(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1", apart: true}, `
		Ask id=1 key=k wait=30s
		+2s
		Opened peer=o/1
			→ 2s o: Join ask=1 key=k gen=1 wait=28s
			→ 2s o: End
		Closed peer=o/1
		# counted from now
		+3s
		Opened peer=o/1
			→ 5s o: Join ask=1 key=k gen=1 wait=25s
			→ 5s o: End
	`)
}

func TestAnAskWithoutALeaseIsNotKeptWaitingForAStream(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s lapsed
			→ o: Join ask=1 key=k gen=1 wait=30s lapsed
		Closed peer=o/1
			→ Answered ask=1 kind=unavailable
	`)
}

func TestWhenTheLeaseLapsesOnlyWhoElsewhereMayAnswerWaitsOn(t *testing.T) {
	transcript(t, scene{self: "a", others: "o b", table: "1:a/1@1"}, `
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		# parked on b's flight; the other waits for this node alone
		Ask id=1 key=k wait=30s
		Ask id=2 key=k since=2000 wait=30s
		renewals fail
		+1900ms
			→ 1.9s (lapsed)
			→ 1.9s Answered ask=2 kind=unavailable
		b: Outcome flight=0.1.1 key=k kind=value value=10
			→ 1.9s Answered ask=1 kind=value value=10
	`)
}

func TestAJoinThatComesTwiceWaitsOnce(t *testing.T) {
	p := transcript(t, scene{self: "o", others: "a"}, `
		a: Join ask=1 key=k gen=1 since=11 wait=30s
		a: Join ask=1 key=k gen=1 since=11 wait=30s
		Changed revision=11
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
	`)
	if got := p.Sizes(); got != (Sizes{Flights: 1}) {
		t.Errorf("left over: %+v", got)
	}
}
