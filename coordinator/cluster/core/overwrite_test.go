package core

import "testing"

func TestASetIsGrantedALeaseAtOnceAndOthersWaitForItsValue(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b h"}, `
		h: Join ask=1 key=k gen=1 since=10 wait=30s
			→ h: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=h/1
		a: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=10s
		b: Join ask=2 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=2 flight=0.1.2 holder=a/1
		# the log says so, and who asks after it waits for the value too
		invalidated k 11
		Changed revision=11
		b: Join ask=3 key=k gen=1 since=11 wait=30s
			→ b: Parked ask=3 flight=0.1.2 holder=a/1
		# what was computed before is for those who asked before, and not kept
		h: Outcome flight=0.1.1 key=k kind=value value=10+keep+payload:old
			→ b: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10+keep+payload:old
		b: Took ask=1 flight=0.1.1
			→ h: Taken flight=0.1.1
		a: Outcome flight=0.1.2 key=k kind=value value=11+keep+payload:new
			→ Keep key=k value=11+keep+payload:new
			→ b: Reply ask=2 kind=value gen=1 flight=0.1.2 value=11+keep+payload:new
			→ b: Reply ask=3 kind=value gen=1 flight=0.1.2 value=11+keep+payload:new
		b: Took ask=2 flight=0.1.2
		b: Took ask=3 flight=0.1.2
			→ a: Taken flight=0.1.2
		b: Join ask=4 key=k gen=1 since=11 wait=30s
			→ b: Reply ask=4 kind=value gen=1 value=11+keep+payload:new
	`)
}

func TestASetDoesNotLookAtWhatIsKeptOrRests(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Outcome flight=0.1.1 key=k kind=error failure=7+1s
			→ a: Taken flight=0.1.1
		b: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=10s
		b: Outcome flight=0.1.2 key=k kind=value value=10+keep
			→ Keep key=k value=10+keep
			→ b: Taken flight=0.1.2
		a: Join ask=2 key=k gen=1 since=10 wait=10s fresh set
			→ a: Reply ask=2 kind=lease gen=1 flight=0.1.3 life=10s
	`)
}

func TestOfTwoSetsTheLaterIsKept(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=10s
		b: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=10s
		invalidated k 11
		Changed revision=11
		invalidated k 12
		Changed revision=12
		a: Outcome flight=0.1.1 key=k kind=value value=11+keep
			→ a: Taken flight=0.1.1
		b: Outcome flight=0.1.2 key=k kind=value value=12+keep
			→ Keep key=k value=12+keep
			→ b: Taken flight=0.1.2
	`)
}

func TestASetOfANodeThatDiesGoesOnToOneWhoWaits(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=10s
		b: Join ask=1 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		Changed revision=11 nodes=-a@11
			→ (holder lost node=a/1 key=k)
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.2 life=30s
	`)
}

func TestASetThatItsOwnerDoesNotSurviveIsStillOne(t *testing.T) {
	transcript(t, scene{self: "m", others: "a b", table: "2:m/1@2"}, `
		a: Rejoin flight=0.1.7 key=k since=10 life=8s set
			→ (adopted node=a/1 key=k)
			→ a: Extended kept=0.1.7
		a: End round=1
		b: End round=1
			→ (active)
		invalidated k 11
		Changed revision=11
		b: Join ask=1 key=k gen=2 since=11 wait=30s
			→ b: Parked ask=1 flight=0.1.7 holder=a/1
		a: Outcome flight=0.1.7 key=k kind=value value=11+keep
			→ Keep key=k value=11+keep
			→ b: Reply ask=1 kind=value gen=2 flight=0.1.7 value=11+keep
	`)
	transcript(t, scene{self: "a", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=10s fresh set
			→ o: Join ask=1 key=k gen=1 since=10 wait=10s fresh set
		o: Reply ask=1 kind=lease gen=1 flight=0.1.7 life=10s
			→ o: Extend flights=0.1.7
			→ Answered ask=1 kind=lease flight=0.1.7 life=10s
		m: Recover round=1 parts=0.2
			→ m: Rejoin flight=0.1.7 key=k since=10 life=10s set
			→ m: End round=1
	`)
}

func TestASetIsRefusedWithoutALease(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=10s fresh set lapsed
			→ a: Reply ask=1 kind=unavailable gen=1
	`)
}
