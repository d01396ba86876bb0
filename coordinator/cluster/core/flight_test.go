package core

import "testing"

func TestTheFirstIsGrantedTheLeaseAndTheOthersAreParked(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		b: Join ask=2 key=k gen=1 wait=30s
			→ b: Parked ask=2 flight=0.1.1 holder=a/1
		b: Leave ask=1
		a: Outcome flight=0.1.1 key=k kind=value value=10+keep
			→ Keep key=k value=10+keep
			→ b: Reply ask=2 kind=value gen=1 flight=0.1.1 value=10+keep
		b: Took ask=2 flight=0.1.1
			→ a: Taken flight=0.1.1
	`)
}

func TestAHolderIsToldWhenNobodyAnywhereWaits(t *testing.T) {
	transcript(t, scene{self: "o", others: "h a"}, `
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		h: Idle flight=0.1.1
		a: Leave ask=1
			→ h: Unwanted flight=0.1.1
		# who comes now finds the flight still there
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=0.1.1 holder=h/1
	`)
}

func TestAHolderPassesOnThatNobodyWaits(t *testing.T) {
	transcript(t, scene{self: "h", others: "o b", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		NobodyHere flight=0.1.1
			→ o: Idle flight=0.1.1
		# only the owner can say so
		b: Unwanted flight=0.1.1
		o: Unwanted flight=0.1.1
			→ NobodyAnywhere flight=0.1.1
	`)
}

func TestLeavingAnAskTakesItsJoinBack(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		LeaveAsk id=1
			→ o: Leave ask=1
		# a lease that crossed it goes back, a value that did is acknowledged
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Outcome flight=0.1.1 kind=abandon
		Ask id=2 key=k wait=30s
			→ o: Join ask=2 key=k gen=1 wait=30s
		LeaveAsk id=2
			→ o: Leave ask=2
		o: Reply ask=2 kind=value gen=1 flight=0.1.2 value=10
			→ o: Took ask=2 flight=0.1.2
	`)
}

func TestAHeartbeatExtendsEveryLease(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		+1s
			→ 1s o: Extend round=1 flights=0.1.1
		+100ms
		# counted from when the heartbeat was sent, less the guard: 1s + 5s − 0.1s
		o: Extended round=1 kept=0.1.1
		+4799999999ns
			→ 2s o: Extend round=2 flights=0.1.1
			→ 3s o: Extend round=3 flights=0.1.1
			→ 4s o: Extend round=4 flights=0.1.1
			→ 5s o: Extend round=5 flights=0.1.1
		+1ns
			→ 5.9s Lost flight=0.1.1
	`)
}

func TestBeforeItsFirstHeartbeatIsAnsweredAHolderCountsLess(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		# L − g − what the grant may have been under way: 5s − 0.1s − 1.5s
		+3399999999ns
			→ 1s o: Extend round=1 flights=0.1.1
			→ 2s o: Extend round=2 flights=0.1.1
			→ 3s o: Extend round=3 flights=0.1.1
		+1ns
			→ 3.4s Lost flight=0.1.1
	`)
}

func TestALeaseEndsWithItsLifetimeAtItsHolder(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=2s
			→ o: Join ask=1 key=k gen=1 wait=2s
		+500ms
		# the owner counts from when the Join came, not from when this is heard
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=2s
			→ 500ms o: Extend flights=0.1.1
			→ 500ms Answered ask=1 kind=lease flight=0.1.1 life=1.5s
		o: Extended kept=0.1.1
		+1499999999ns
			→ 1s o: Extend round=1 flights=0.1.1
		+1ns
			→ 2s Lost flight=0.1.1
	`)
}

func TestALeaseWithoutAHeartbeatGoesOnToTheNext(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		b: Join ask=2 key=k gen=1 wait=30s
			→ b: Parked ask=2 flight=0.1.1 holder=a/1
		+1s
		a: Extend round=1 flights=0.1.1
			→ 1s a: Extended round=1 kept=0.1.1
		+4999999999ns
		+1ns
			→ 6s (holder lost node=a/1 key=k)
			→ 6s a: Extended void=0.1.1
			→ 6s b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=24s
			→ 6s b: Parked ask=2 flight=0.1.2 holder=b/1
		# its late outcome is refused, and its heartbeat
		a: Outcome flight=0.1.1 key=k kind=value value=10
			→ 6s (void outcome node=a/1 key=k)
			→ 6s a: Taken flight=0.1.1 void
		a: Extend round=6 flights=0.1.1
			→ 6s a: Extended round=6 void=0.1.1
	`)
}

func TestALeaseEndsWithItsLifetimeAtItsOwner(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=2s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=2s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		+1s
		a: Extend round=1 flights=0.1.1
			→ 1s a: Extended round=1 kept=0.1.1
		+999999999ns
		+1ns
			→ 2s (holder lost node=a/1 key=k)
			→ 2s a: Extended void=0.1.1
			→ 2s b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=28s
	`)
}

func TestTheLeasesOfADeadNodeGoOn(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=0.1.1 holder=a/1
		Changed revision=11 nodes=a/2@11
			→ (holder lost node=a/1 key=k)
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
	`)
}

func TestALapsedNodeIsGrantedNothing(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s lapsed
			→ a: Reply ask=1 kind=unavailable gen=1
		# but may wait for what is there
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=2 key=k gen=1 wait=30s lapsed
			→ a: Parked ask=2 flight=0.1.1 holder=b/1
		Ask id=1 key=k wait=30s
		# who may be granted something comes before it
		b: Outcome flight=0.1.1 kind=abandon
			→ a: Parked ask=2 flight=0.1.2 holder=o/1
			→ b: Taken flight=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.2 life=30s
	`)
}

func TestALapsedNodeTakesNoLease(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		renewals fail
		+1900ms
			→ 1.9s (lapsed)
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=28s
			→ 1.9s o: Outcome flight=0.1.1 kind=abandon
			→ 1.9s o: Join ask=1 key=k gen=1 wait=28.1s lapsed
	`)
}

func TestALeaseOfAnOlderGenerationIsGivenBack(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		m: Recover round=1 parts=0.2
			→ m: Join ask=1 key=k gen=2 wait=30s
			→ m: End round=1
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Outcome flight=0.1.1 kind=abandon
		m: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
			→ m: Outcome flight=0.1.2 kind=abandon
	`)
}

func TestALeaseThatNobodyCanBeGrantedGoesToNobody(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		# b's wait is over when the lease comes back
		b: Join ask=1 key=k gen=1 wait=1s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		+1s
		a: Outcome flight=0.1.1 kind=abandon
			→ 1s b: Reply ask=1 kind=unavailable gen=1
			→ 1s a: Taken flight=0.1.1
	`)
}

func TestAnInvalidationDetachesAFlight(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		invalidated k 11
		Changed revision=11
		b: Join ask=2 key=k gen=1 since=11 wait=30s
			→ b: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
		# whoever asked before it is given what was being computed, and nobody keeps it
		a: Outcome flight=0.1.1 key=k kind=value value=10+keep
			→ b: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10+keep
	`)
}

func TestAValueWithAnInvalidatedTagIsNotGivenToWhoAskedAfter(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		invalidated t 11
		Changed revision=11
		# the owner cannot know the tag yet
		b: Join ask=1 key=k gen=1 since=11 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=value value=10+keep+tag:t
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
			→ a: Taken flight=0.1.1
	`)
}

func TestAnAskerLooksItselfAtWhatItIsGiven(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		invalidated t 10
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9+keep+tag:t
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=10+keep+tag:t
			→ Answered ask=1 kind=value value=10+keep+tag:t
	`)
}

func TestAnAskThatIsOfferedOnlyWhatIsTooOldEnds(t *testing.T) {
	transcript(t, scene{self: "a", others: "o", table: "1:o/1@1"}, `
		invalidated k 10
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=value gen=1 value=9
			→ Answered ask=1 kind=unavailable
	`)
}

func TestARefreshIsGivenALeaseWithWhatItValidates(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		kept k 9+keep+stale+payload:old
		# who waits is given what is stale, who refreshes computes
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=value gen=1 value=9+keep+stale+payload:old
		b: Join ask=1 key=k gen=1 since=10 wait=30s refresh
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s value=9+keep+stale+payload:old
		a: Join ask=2 key=k gen=1 since=10 wait=30s refresh
			→ a: Parked ask=2 flight=0.1.1 holder=b/1
	`)
}

func TestNoStaleIsGrantedALeaseWithWhatItValidates(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		kept k 9+keep+stale+payload:old
		a: Join ask=1 key=k gen=1 since=10 wait=30s noStale
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s value=9+keep+stale+payload:old
	`)
}

func TestFreshWaitersShareAFlightThatBeganAfterTheyCame(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		a: Join ask=1 key=k gen=1 wait=30s fresh
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=2 key=k gen=1 wait=30s fresh
			→ a: Parked ask=2 flight=0.1.1 holder=a/1
		a: Join ask=3 key=k gen=1 wait=30s fresh
			→ a: Parked ask=3 flight=0.1.1 holder=a/1
		# what was under way when they came will not do: one of them computes, for all
		a: Outcome flight=0.1.1 key=k kind=value value=10
			→ a: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
			→ a: Parked ask=3 flight=0.1.2 holder=a/1
			→ a: Taken flight=0.1.1
		a: Outcome flight=0.1.2 key=k kind=value value=10
			→ a: Reply ask=3 kind=value gen=1 flight=0.1.2 value=10
	`)
}

func TestALoadIsNotUnwantedWhileItsPartitionIsGivenAway(t *testing.T) {
	transcript(t, scene{self: "o", table: "1:o/1@1,o/1@1"}, `
		Changed revision=11 nodes=a/1@11
		Opened peer=a/1
			→ a: End
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=1.1.1 life=30s
		a: Join ask=2 key=k gen=1 wait=30s
			→ a: Parked ask=2 flight=1.1.1 holder=a/1
		a: Idle flight=1.1.1
		+100ms
			→ 50ms Write id=1 table=2:o/1@1,a/1@2 tableRevision=6
		# CLOSED: a has the new table, and has gone there with what it waits for
		a: Leave ask=2
	`)
}
