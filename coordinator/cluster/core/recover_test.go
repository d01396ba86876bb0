package core

import "testing"

func TestANewOwnerAsksEverybody(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h o", table: "1:o/1@1"}, `
		Closed peer=o/1
		Changed revision=11 table=2:m/1@2
			→ (took over)
			→ a: Recover round=1 parts=0.2
			→ h: Recover round=1 parts=0.2
		a: End round=1
		h: End round=1
		# who has no stream is asked when one opens
		Opened peer=o/1
			→ o: End
			→ o: Recover round=1 parts=0.2
		o: End round=1
			→ (active)
	`)
}

func TestANodeSaysWhatItWantsAndHolds(t *testing.T) {
	transcript(t, scene{self: "h", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=9 wait=30s
			→ o: Join ask=1 key=k gen=1 since=9 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Ask id=2 key=other since=10 wait=30s
			→ o: Join ask=2 key=other gen=1 since=10 wait=30s
		o: Parked ask=2 flight=0.1.2 holder=o/1
		NobodyHere flight=0.1.1
			→ o: Idle flight=0.1.1
		+1s
			→ 1s o: Extend round=1 flights=0.1.1
		m: Recover round=1 parts=0.2
			→ 1s m: Join ask=2 key=other gen=2 since=10 wait=29s on=0.1.2 holder=o/1
			→ 1s m: Rejoin flight=0.1.1 key=k since=9 life=29s idle
			→ 1s m: End round=1
		# one that is older than what this node knows of teaches nothing
		o: Recover round=8 parts=0.1
			→ 1s o: End round=8
		# the same again, because it was not answered
		m: Recover round=1 parts=0.2
			→ 1s m: Rejoin flight=0.1.1 key=k since=9 life=29s idle
			→ 1s m: End round=1
		m: Extended kept=0.1.1
	`)
}

func TestALeaseIsAdoptedFromItsHolder(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s
		h: Rejoin flight=0.1.7 key=k life=10s
			→ (adopted node=h/1 key=k)
			→ h: Extended kept=0.1.7
		a: End round=1
		h: End round=1
			→ (active)
			→ a: Parked ask=1 flight=0.1.7 holder=h/1
		h: Outcome flight=0.1.7 key=k kind=value value=10+keep
			→ Keep key=k value=10+keep
			→ a: Reply ask=1 kind=value gen=2 flight=0.1.7 value=10+keep
		a: Took ask=1 flight=0.1.7
			→ h: Taken flight=0.1.7
	`)
}

func TestALeaseThatIsAdoptedKeepsItsLifetime(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s
		h: Rejoin flight=0.1.7 key=k life=2s
			→ (adopted node=h/1 key=k)
			→ h: Extended kept=0.1.7
		a: End round=1
		h: End round=1
			→ (active)
			→ a: Parked ask=1 flight=0.1.7 holder=h/1
		+1s
		h: Extend round=1 flights=0.1.7
			→ 1s h: Extended round=1 kept=0.1.7
		+1s
			→ 2s (holder lost node=h/1 key=k)
			→ 2s h: Extended void=0.1.7
			→ 2s a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=28s
	`)
}

func TestAHeartbeatThatComesBeforeTheLeaseIsPresentedIsNotDecided(t *testing.T) {
	transcript(t, scene{self: "m", others: "h", table: "2:m/1@2"}, `
		h: Extend round=5 flights=0.1.7
		+500ms
			→ 500ms (active took=500ms)
		# recovery is over, but h has yet to answer
		h: Extend round=6 flights=0.1.7
		h: Rejoin flight=0.1.7 key=k life=10s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms (late rejoin node=h/1 key=k)
			→ 500ms h: Extended kept=0.1.7
		h: Extend round=7 flights=0.1.7
			→ 500ms h: Extended round=7 kept=0.1.7
	`)
}

func TestAFlightThatAWaiterNamesIsReservedUntilItsHolderHasAnswered(t *testing.T) {
	transcript(t, scene{self: "m", others: "a b h", table: "2:m/1@2"}, `
		b: Join ask=1 key=k gen=2 wait=30s
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		b: End round=1
		# h is silent: who named it comes first, so that nobody is granted another
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms b: Parked ask=1 flight=0.1.7 holder=h/1
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		h: Rejoin flight=0.1.7 key=k life=10s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms h: Extended kept=0.1.7
		h: End round=1
	`)
}

func TestAReservedFlightThatItsHolderDoesNotKnowGoesOn(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		h: End round=1
			→ 500ms (holder lost node=h/1 key=k)
			→ 500ms h: Extended void=0.1.7
			→ 500ms a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=29.5s
	`)
}

func TestAReservedFlightWhoseHolderIsDeadGoesOn(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		Changed revision=20 nodes=h/2@20
			→ 500ms (holder lost node=h/1 key=k)
			→ 500ms a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=29.5s
	`)
}

func TestAReservedFlightIsGivenUpAfterTheLimit(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		+4999999999ns
		# h is still silent, and not named any more
		+1ns
			→ 5.5s (holder lost node=h/1 key=k)
			→ 5.5s h: Extended void=0.1.7
			→ 5.5s a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=24.5s
	`)
}

func TestAReservedFlightIsForAllWhoAskForItsKey(t *testing.T) {
	transcript(t, scene{self: "m", others: "a b h", table: "2:m/1@2"}, `
		invalidated k 3
		a: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		b: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		# its v is not known yet, and is not taken for too old
		b: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.7 holder=h/1
			→ 500ms b: Parked ask=1 flight=0.1.7 holder=h/1
	`)
}

func TestAReservedFlightIsNotForgottenBySessionsThatOpen(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		Opened peer=h/1
			→ 500ms h: End
			→ 500ms h: Recover round=1 parts=0.2
		# what h says at the opening came before it has seen Recover
		h: End
		h: Rejoin flight=0.1.7 key=k life=10s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms h: Extended kept=0.1.7
	`)
}

func TestAReservedFlightIsClaimedWithItsHoldersTerms(t *testing.T) {
	p := transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 since=10 wait=1s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		h: Rejoin flight=0.1.7 key=k since=8 life=25s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms h: Extended kept=0.1.7
	`)
	f := p.flights[readFlight("0.1.7")]
	if f.since != 8 || f.life != p.now.Add(readDuration("25s")) {
		t.Errorf("since %d for %v, want 8 for 25s", f.since, f.life.Sub(p.now))
	}
}

func TestAnOutcomeThatIsOfferedGoesToWhoNamesItsFlight(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		# nobody waits yet, and nobody keeps it: not acknowledged before all have spoken
		h: Rejoin flight=0.1.7 key=k life=10s outcome=value:10
		h: End round=1
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
			→ (active)
			→ a: Reply ask=1 kind=value gen=2 flight=0.1.7 value=10
		a: Took ask=1 flight=0.1.7
			→ h: Taken flight=0.1.7
	`)
}

func TestAnOutcomeThatIsOfferedAfterRecoveryIsTaken(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
		# h may name what it waits for until it has answered
		h: Rejoin flight=0.1.7 key=k life=10s outcome=value:10+keep
			→ 500ms Keep key=k value=10+keep
		h: End round=1
			→ 500ms h: Taken flight=0.1.7
	`)
}

func TestAnOutcomeOfAnAdoptedFlightWaitsForWhoNamesIt(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s on=0.1.7 holder=h/1
		h: Rejoin flight=0.1.7 key=k life=10s
			→ (adopted node=h/1 key=k)
			→ h: Extended kept=0.1.7
		h: Outcome flight=0.1.7 key=k kind=value value=10
		h: End round=1
		a: End round=1
			→ (active)
			→ a: Reply ask=1 kind=value gen=2 flight=0.1.7 value=10
		a: Took ask=1 flight=0.1.7
			→ h: Taken flight=0.1.7
	`)
}

func TestAnOutcomeThatLandsWhileThePartitionIsClosedIsKeptByItsHolder(t *testing.T) {
	transcript(t, scene{self: "o", table: "1:o/1@1,o/1@1"}, `
		Changed revision=11 nodes=h/1@11
		Opened peer=h/1
			→ h: End
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=1.1.1 life=30s
		h: Join ask=2 key=k gen=1 wait=30s
			→ h: Parked ask=2 flight=1.1.1 holder=h/1
		+100ms
			→ 50ms Write id=1 table=2:o/1@1,h/1@2 tableRevision=6
		# CLOSED: who waits is given it, but some may have gone to the new owner already
		h: Outcome flight=1.1.1 key=k kind=value value=10
			→ 100ms h: Reply ask=2 kind=value gen=1 flight=1.1.1 value=10
		h: Took ask=2 flight=1.1.1
		# refused: it is ours after all
		Wrote id=1 table=6
			→ 100ms h: Taken flight=1.1.1
	`)
}

func TestAnOutcomeThatLandsWhileTheLeaseIsOutIsNotAcknowledged(t *testing.T) {
	transcript(t, scene{self: "o", others: "h a"}, `
		h: Join ask=1 key=k gen=1 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Parked ask=1 flight=0.1.1 holder=h/1
		renewals fail
		+1900ms
			→ 1.9s (lapsed)
		Opened peer=a/1
			→ 1.9s a: End
		a: Join ask=1 key=k gen=1 wait=28s on=0.1.1 holder=h/1
		h: Outcome flight=0.1.1 key=k kind=value value=10
		renewals work
		+100ms
			→ 2s (restored took=100ms)
			→ 2s a: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10
		a: Took ask=1 flight=0.1.1
			→ 2s h: Taken flight=0.1.1
	`)
}

func TestOfTwoFlightsThatArePresentedTheYoungestCounts(t *testing.T) {
	transcript(t, scene{self: "m", others: "a b", table: "4:m/1@4"}, `
		a: Rejoin flight=0.2.5 key=k life=10s
			→ (adopted node=a/1 key=k)
			→ a: Extended kept=0.2.5
		b: Join ask=1 key=k gen=4 wait=30s
		b: Rejoin flight=0.3.1 key=k life=10s
			→ (adopted node=b/1 key=k)
			→ b: Extended kept=0.3.1
			→ (superseded node=a/1 key=k)
			→ a: Extended void=0.2.5
		a: Rejoin flight=0.2.6 key=k life=10s
			→ (superseded node=a/1 key=k)
			→ a: Extended void=0.2.6
		a: End round=1
		b: End round=1
			→ (active)
			→ b: Parked ask=1 flight=0.3.1 holder=b/1
		b: Outcome flight=0.3.1 key=k kind=value value=10
			→ b: Reply ask=1 kind=value gen=4 flight=0.3.1 value=10
	`)
}

func TestAYoungerFlightThatIsNamedPutsAnOlderOneAside(t *testing.T) {
	transcript(t, scene{self: "m", others: "a b h", table: "4:m/1@4"}, `
		b: Join ask=1 key=k gen=4 wait=30s on=0.3.1 holder=h/1
		a: Rejoin flight=0.2.5 key=k life=10s
			→ (adopted node=a/1 key=k)
			→ a: Extended kept=0.2.5
		a: End round=1
		b: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms b: Parked ask=1 flight=0.3.1 holder=h/1
		h: Rejoin flight=0.3.1 key=k life=10s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms h: Extended kept=0.3.1
		h: End round=1
	`)
}

func TestAStragglersFlightIsAdoptedIfItsKeyIsFree(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
		h: Rejoin flight=0.1.7 key=k life=10s
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms (late rejoin node=h/1 key=k)
			→ 500ms h: Extended kept=0.1.7
		h: End round=1
		a: Join ask=1 key=k gen=2 wait=30s
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
	`)
}

func TestAStragglersFlightIsVoidIfAnotherWasGranted(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		a: Join ask=1 key=k gen=2 wait=30s
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=29.5s
		h: Rejoin flight=0.1.7 key=k life=10s
			→ 500ms (superseded node=h/1 key=k)
			→ 500ms h: Extended void=0.1.7
		h: End round=1
	`)
}

func TestALeaseOfThisGenerationThatIsNotKnownIsVoid(t *testing.T) {
	transcript(t, scene{self: "o", others: "h"}, `
		h: Rejoin flight=0.1.7 key=k life=10s
			→ h: Extended void=0.1.7
		h: Rejoin flight=0.1.8 key=k life=10s outcome=value:10
			→ (void outcome node=h/1 key=k)
			→ h: Taken flight=0.1.8 void
		# nor is anything of a partition that does not exist
		h: Rejoin flight=9.1.7 key=k life=10s
		h: Extend round=1 flights=9.1.7
	`)
}

func TestAnAbandonedLeaseIsTakenByTheNewOwner(t *testing.T) {
	transcript(t, scene{self: "m", others: "h", table: "2:m/1@2"}, `
		h: Rejoin flight=0.1.7 key=k life=10s outcome=abandon
			→ h: Taken flight=0.1.7
	`)
}

func TestAnOutcomeThatOvertakesItsPresentationWaitsForIt(t *testing.T) {
	transcript(t, scene{self: "m", others: "h", table: "2:m/1@2"}, `
		h: Outcome flight=0.1.7 key=k kind=value value=10
		h: Rejoin flight=0.1.7 key=k life=10s outcome=value:10
		h: End round=1
			→ (active)
			→ h: Taken flight=0.1.7
	`)
}

func TestWhatAFormerOwnerSaysOfALeaseDoesNotCount(t *testing.T) {
	transcript(t, scene{self: "h", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		m: Recover round=1 parts=0.2
			→ m: Rejoin flight=0.1.1 key=k life=30s
			→ m: End round=1
		o: Extended void=0.1.1
		o: Extended kept=0.1.1
		m: Extended void=0.1.1
			→ Lost flight=0.1.1
	`)
}

func TestAFormerOwnersValueIsAsGood(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Parked ask=1 flight=0.1.1 holder=m/1
		Changed revision=12 table=2:m/1@2
			→ m: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.1 holder=m/1
		# by the rule of revisions; the new owner need not wait for it
		o: Reply ask=1 kind=value gen=1 flight=0.1.1 value=11+keep
			→ o: Took ask=1 flight=0.1.1
			→ m: Leave ask=1
			→ Answered ask=1 kind=value value=11+keep
	`)
}

func TestAFormerOwnersOutcomeThatDoesNotCountIsNotAcknowledged(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Parked ask=1 flight=0.1.1 holder=m/1
		Changed revision=12 table=2:m/1@2
			→ m: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.1 holder=m/1
		invalidated k 10
		o: Reply ask=1 kind=value gen=1 flight=0.1.1 value=9
		o: Reply ask=1 kind=error gen=1 flight=0.1.2 failure=7
		# the error of the flight that it waits for does
		o: Reply ask=1 kind=error gen=1 flight=0.1.1 failure=7
			→ o: Took ask=1 flight=0.1.1
			→ m: Leave ask=1
			→ Answered ask=1 kind=error failure=7
	`)
}

func TestALapsedAskersRevisionIsTheOwners(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		# an invalidation of the tag was acknowledged before a asked, and a has not applied it
		invalidated t 9
		a: Join ask=1 key=k gen=2 since=7 wait=30s on=0.1.9 holder=h/1 lapsed
		a: End round=1
		h: Rejoin flight=0.1.9 key=k life=10s outcome=value:6+tag:t
		h: End round=1
			→ (active)
			→ a: Reply ask=1 kind=unavailable gen=2
			→ h: Taken flight=0.1.9
	`)
}

func TestWhoWaitsForAKeyIsGivenTheOutcomeThatLandsMeanwhile(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		# a has not heard yet what it is parked on, and names nothing
		a: Join ask=1 key=k gen=2 since=10 wait=30s
		h: Rejoin flight=0.1.7 key=k since=10 life=10s
			→ (adopted node=h/1 key=k)
			→ h: Extended kept=0.1.7
		h: Outcome flight=0.1.7 key=k kind=value value=10
		h: End round=1
		a: End round=1
			→ (active)
			→ a: Reply ask=1 kind=value gen=2 flight=0.1.7 value=10
		a: Took ask=1 flight=0.1.7
			→ h: Taken flight=0.1.7
	`)
}

func TestWhatAFormerOwnerParkedAnAskOnIsToldToTheNewOne(t *testing.T) {
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		Changed revision=11 table=2:m/1@2
			→ m: Join ask=1 key=k gen=2 since=10 wait=30s
		# it was under way
		o: Parked ask=1 flight=0.1.1 holder=o/1
			→ m: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.1 holder=o/1
	`)
}

func TestAnOutcomeIsForItsOwnKey(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		h: Rejoin flight=0.1.7 key=k life=10s outcome=value:10
		h: End round=1
		# a names the flight of another key
		a: Join ask=1 key=other gen=2 wait=30s on=0.1.7 holder=h/1
		a: End round=1
			→ (active)
			→ a: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=30s
			→ h: Taken flight=0.1.7
	`)
}

func TestTheOutcomeOfAReservedFlightIsTakenWithItsSince(t *testing.T) {
	transcript(t, scene{self: "m", others: "a h", table: "2:m/1@2"}, `
		invalidated k 3
		a: Join ask=1 key=k gen=2 since=10 wait=30s on=0.1.7 holder=h/1
		a: End round=1
		+500ms
			→ 500ms (active took=500ms)
			→ 500ms a: Parked ask=1 flight=0.1.7 holder=h/1
		# sent before h has heard of Recover: it says no since
		h: Outcome flight=0.1.7 key=k kind=error failure=7
		h: Rejoin flight=0.1.7 key=k since=8 life=25s outcome=error:7
			→ 500ms (adopted node=h/1 key=k)
			→ 500ms a: Reply ask=1 kind=error gen=2 flight=0.1.7 failure=7
	`)
}

func TestAnOwnerKeepsWhatItComputedForAnother(t *testing.T) {
	transcript(t, scene{self: "m", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k wait=30s
			→ o: Join ask=1 key=k gen=1 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Changed revision=11 table=2:m/1@2
			→ (took over)
			→ o: Recover round=1 parts=0.2
			→ (adopted node=m/1 key=k)
		o: End round=1
			→ (active)
		Done flight=0.1.1 kind=value value=10+keep
			→ Keep key=k value=10+keep
			→ Settled flight=0.1.1
	`)
}
