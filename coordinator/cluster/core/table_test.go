package core

import "testing"

func TestWhatNobodyOwnsIsGivenToWhoIsThere(t *testing.T) {
	transcript(t, scene{self: "a", byHand: true, unnamed: true}, `
		Tick
			→ Renew nonce=1
		Renewed ok nonce=1
			→ (restored)
			→ Write id=1 table=1:a/1@1
		Tick
		Wrote id=1 ok table=11
		Changed revision=11 table=1:a/1@1
		# of generation 1 there is nothing to recover
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
	`)
}

func TestNodesTakeTurnsToWriteTheTable(t *testing.T) {
	transcript(t, scene{self: "c", others: "a b", unnamed: true}, `
		+99ms
		+1ms
			→ 100ms Write id=1 table=1:a/1@1
	`)
}

func TestANodeLeavesToOthersWhatIsTheirs(t *testing.T) {
	// b owns both; a may have one, which b alone can give (O1).
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1,b/1@1", byHand: true}, `
		Tick
		Renewed ok nonce=1 table=6
			→ (restored)
		Tick
	`)
}

func TestAPartitionIsClosedWhileItIsGivenAway(t *testing.T) {
	transcript(t, scene{self: "a", table: "1:a/1@1,a/1@1"}, `
		Changed revision=11 nodes=b/1@11
		Opened peer=b/1
			→ b: End
			→ Write id=1 table=2:b/1@2,a/1@1 tableRevision=6
		# the key other is of the partition that a gives to b, k of the one that stays
		b: Join ask=1 key=other gen=1 wait=30s
		b: Join ask=2 key=k gen=1 wait=30s
			→ b: Reply ask=2 kind=lease gen=1 flight=1.1.1 life=30s
		Wrote id=1 ok table=12
		Changed revision=12 table=2:b/1@2,a/1@1
			→ b: Reply ask=1 kind=wrong-owner gen=2
	`)
}

func TestARefusedWriteOpensWhatItClosedAndWaits(t *testing.T) {
	transcript(t, scene{self: "a", table: "1:a/1@1,a/1@1"}, `
		Changed revision=11 nodes=b/1@11
		Opened peer=b/1
			→ b: End
			→ Write id=1 table=2:b/1@2,a/1@1 tableRevision=6
		b: Join ask=1 key=other gen=1 wait=30s
		# refused: another's table is at 12, and decides only once it is applied
		Wrote id=1 table=12
		Tick
		Changed revision=12 table=2:a/1@1,a/1@1
			→ b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		Tick
		+99ms
		+1ms
			→ 100ms Write id=2 table=3:b/1@2,a/1@1 tableRevision=12
	`)
}

func TestARefusedWriteThatNothingFollowsIsNotRepeatedAtOnce(t *testing.T) {
	transcript(t, scene{self: "a", table: "1:a/1@1,a/1@1"}, `
		Changed revision=11 nodes=b/1@11
		Opened peer=b/1
			→ b: End
			→ Write id=1 table=2:b/1@2,a/1@1 tableRevision=6
		# a record has moved on, which the watch has yet to say; the table has not
		Wrote id=1 table=6
		+99ms
		+1ms
			→ 100ms Write id=2 table=2:b/1@2,a/1@1 tableRevision=6
	`)
}

func TestAWriteWhoseOutcomeIsUnknownIsRepeatedAsItIs(t *testing.T) {
	transcript(t, scene{self: "a", table: "1:a/1@1,a/1@1"}, `
		Changed revision=11 nodes=b/1@11
		Opened peer=b/1
			→ b: End
			→ Write id=1 table=2:b/1@2,a/1@1 tableRevision=6
		Wrote id=1 unknown
		# meanwhile nothing is granted, whatever comes
		b: Join ask=1 key=other gen=1 wait=30s
		+99ms
		+1ms
			→ 100ms Write id=2 table=2:b/1@2,a/1@1 tableRevision=6
		# the answer to the first does not count any more
		Wrote id=1 ok table=12
		Wrote id=2 table=12
		Changed revision=12
			→ 100ms b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=29.9s
	`)
}

func TestATableThatIsNotNewerIsPassedOver(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "5:a/1@3"}, `
		Changed revision=11 table=5:b/1@4
			→ (old table)
			→ Write id=1 table=6:a/1@3 tableRevision=11
		Changed revision=12 table=6:b/1@4,b/1@1
			→ (old table)
		# a newer one counts, but not where a partition's generation has not grown
		Changed revision=13 table=6:b/1@3
		Ask id=1 key=k wait=30s
		# what has been applied does not go back
		Changed revision=12 table=7:b/1@4
	`)
}

func TestADrainingNodeGivesEverythingAwayAndLeaves(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		Ask id=1 key=k wait=30s
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Drain
		# nothing is given away before its record, as all see it, says so
		+400ms
			→ 400ms Write id=1 table=2:b/1@2 tableRevision=6
		Wrote id=1 ok table=50
		Changed revision=50 table=2:b/1@2
			→ 400ms Write id=2 table=3:b/1@2 tableRevision=50 bury=a/1@11
		# it owns nothing: its lease is given up before its tombstone is on its way
		Tick
		Ask id=2 key=other wait=30s
			→ 400ms b: Join ask=2 key=other gen=2 wait=30s lapsed
		Wrote id=2 ok table=51
		Changed revision=51 nodes=a/1@51+tombstone
			→ 400ms Answered ask=2 kind=unavailable
			→ 400ms Lost flight=0.1.1
			→ 400ms Drained
			→ 400ms Fenced
	`)
}

func TestADrainedNodeStaysIfItIsToldTo(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		Drain stay
		+400ms
			→ 400ms Write id=1 table=2:b/1@2 tableRevision=6
		Wrote id=1 ok table=50
		Changed revision=50 table=2:b/1@2
		# it asks, and computes, as before
		+2s
		Ask id=1 key=k wait=30s
			→ 2.4s b: Join ask=1 key=k gen=2 wait=30s
		b: Reply ask=1 kind=lease gen=2 flight=0.2.1 life=30s
			→ 2.4s b: Extend flights=0.2.1
			→ 2.4s Answered ask=1 kind=lease flight=0.2.1 life=30s
	`)
}

func TestANodeThatStaysOwnsAgainOnceItIsUndrained(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1,b/1@1"}, `
		Drain stay
		+400ms
			→ 400ms Write id=1 table=2:b/1@2,b/1@1 tableRevision=6
		Wrote id=1 ok table=50
		Changed revision=50 table=2:b/1@2,b/1@1
		Undrain
		+400ms
		Changed revision=60 table=3:a/1@3,b/1@1
			→ 800ms (took over)
			→ 800ms b: Recover round=1 parts=0.3
		b: End round=1
			→ 800ms (active)
		# and leaves when it is told to leave
		Drain
			→ 800ms Write id=2 table=4:b/1@4,b/1@1 tableRevision=60
		+400ms
	`)
}

func TestADrainedNodeKeepsWhatNobodyElseCouldOwn(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		Changed revision=11 nodes=b/1@11+draining
		Drain stay
		+2s
		Ask id=1 key=k wait=30s
			→ 2s Answered ask=1 kind=lease flight=0.1.1 life=30s
	`)
}

func TestADrainedNodeOwnsWhatNobodyElseIsLeftToOwn(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1"}, `
		Drain stay
		+400ms
		silent b
		+2500ms
			→ 2.5s (buried node=b/1)
			→ 2.5s Write id=1 table=2:a/1@2 tableRevision=6 bury=b/1@11
	`)
}

func TestADrainedNodeThatIsTakenForDeadHasNotLeft(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:b/1@1"}, `
		Drain stay
		+400ms
		Changed revision=50 nodes=a/1@50+tombstone
			→ 400ms (fenced)
			→ 400ms Fenced
	`)
}

func TestADrainingNodeIsGivenNothing(t *testing.T) {
	transcript(t, scene{self: "a", others: "b c", table: "1:c/1@1,c/1@1"}, `
		Changed revision=11 nodes=b/1@11+draining
		Changed revision=12 nodes=c/1@12+tombstone
			→ Write id=1 table=2:a/1@2,a/1@2 tableRevision=6
	`)
}
