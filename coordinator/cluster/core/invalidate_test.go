package core

import "testing"

func TestAnInvalidationIsAcknowledgedOnceAllHaveAppliedIt(t *testing.T) {
	transcript(t, scene{self: "a", others: "b c"}, `
		Committed id=1 revision=12
			→ b: Applied revision=12
			→ c: Applied revision=12
		b: HasApplied revision=12
		# not yet: an earlier one
		c: HasApplied revision=11
		Changed revision=12
		c: HasApplied revision=12
			→ Acknowledged id=1
	`)
}

func TestAnInvalidationIsNotWaitedForWhereANodeIsDead(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		Committed id=1 revision=12
			→ b: Applied revision=12
		Changed revision=12
		Changed revision=13 nodes=b/2@13
			→ Acknowledged id=1
	`)
}

func TestAnInvalidationIsAcknowledgedWhenEveryLeaseOfBeforeIsOver(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		Committed id=1 revision=10
			→ b: Applied revision=10
		Closed peer=b/1
		+2099999999ns
		+1ns
			→ 2.1s (invalidation node=b/1)
			→ 2.1s Acknowledged id=1
	`)
}

func TestAnInvalidationIsAskedAboutOnEveryNewStream(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		Committed id=1 revision=10
			→ b: Applied revision=10
		Opened peer=b/1
			→ b: End
			→ b: Applied revision=10
		b: HasApplied revision=10
			→ Acknowledged id=1
	`)
}

func TestANodeSaysThatItHasAppliedOnceItHas(t *testing.T) {
	transcript(t, scene{self: "a", others: "b"}, `
		b: Applied revision=10
			→ b: HasApplied revision=10
		b: Applied revision=11
		b: Applied revision=12
		Changed revision=11
			→ b: HasApplied revision=11
		# on the stream on which it was asked, not on a later one
		Opened peer=b/1
			→ b: End
		Changed revision=12
	`)
}

func TestANodeThatWasNotKnownAtTheCommitIsAskedToo(t *testing.T) {
	transcript(t, scene{self: "y"}, `
		Committed id=1 revision=15
		# its record is older than the invalidation: it may answer from before it
		Changed revision=12 nodes=z/1@12
		Changed revision=15
		Opened peer=z/1
			→ z: End
			→ z: Applied revision=15
		z: HasApplied revision=15
			→ Acknowledged id=1
	`)
}

func TestANodeThatIsYoungerThanAnInvalidationIsNotAsked(t *testing.T) {
	transcript(t, scene{self: "y"}, `
		Committed id=1 revision=15
		Changed revision=16 nodes=z/1@16
			→ Acknowledged id=1
	`)
}

// A node that was taken for dead and begins anew has a lease, it may be, before its
// watch has shown its own new record: what it keeps is as old as its watch.
func TestANodeThatHasNotSeenItselfWaitsUntilItHasAppliedItsOwnInvalidation(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1", unseen: true}, `
		Committed id=1 revision=15
			→ b: Applied revision=15
		b: HasApplied revision=15
		# not yet: this node itself has not
		Changed revision=12 nodes=a/1@12
		Changed revision=15
			→ Acknowledged id=1
	`)
}
