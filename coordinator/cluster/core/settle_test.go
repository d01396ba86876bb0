package core

import "testing"

func TestAValueIsKeptByItsOwnerIfItMayBe(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=value value=10+keep
			→ Keep key=k value=10+keep
			→ b: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10+keep
		b: Took ask=1 flight=0.1.1
			→ a: Taken flight=0.1.1
		b: Join ask=2 key=k gen=1 wait=30s
			→ b: Reply ask=2 kind=value gen=1 value=10+keep
		# for those who wait, and kept by nobody
		a: Join ask=3 key=other gen=1 wait=30s
			→ a: Reply ask=3 kind=lease gen=1 flight=0.1.2 life=30s
		b: Join ask=3 key=other gen=1 wait=30s
			→ b: Parked ask=3 flight=0.1.2 holder=a/1
		a: Outcome flight=0.1.2 key=other kind=value value=10
			→ b: Reply ask=3 kind=value gen=1 flight=0.1.2 value=10
		b: Join ask=4 key=other gen=1 wait=30s
			→ b: Reply ask=4 kind=lease gen=1 flight=0.1.3 life=30s
	`)
}

func TestAnErrorLetsItsKeyRest(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=error failure=7+1s
			→ b: Reply ask=1 kind=error gen=1 flight=0.1.1 failure=7+1s
		+400ms
		b: Join ask=2 key=k gen=1 since=10 wait=30s
			→ 400ms b: Reply ask=2 kind=error gen=1 failure=7+600ms
		+599999999ns
		b: Join ask=3 key=k gen=1 since=10 wait=30s
			→ 999.999999ms b: Reply ask=3 kind=error gen=1 failure=7+1ns
		+1ns
		b: Join ask=4 key=k gen=1 since=10 wait=30s
			→ 1s b: Reply ask=4 kind=lease gen=1 flight=0.1.2 life=30s
	`)
}

func TestAnInvalidationEndsAPause(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=10 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Outcome flight=0.1.1 key=k kind=error failure=7+1s
			→ a: Taken flight=0.1.1
		invalidated k 11
		Changed revision=11
		b: Join ask=2 key=k gen=1 since=11 wait=30s
			→ b: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
	`)
}

func TestAPassLetsEachComputeForItself(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		b: Join ask=2 key=k gen=1 wait=30s lapsed
			→ b: Parked ask=2 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=pass
			→ b: Reply ask=1 kind=pass gen=1 flight=0.1.1
			→ b: Reply ask=2 kind=unavailable gen=1
		# and whoever comes within a second
		a: Join ask=3 key=k gen=1 wait=30s
			→ a: Reply ask=3 kind=pass gen=1
		b: Join ask=4 key=k gen=1 wait=30s lapsed
			→ b: Reply ask=4 kind=unavailable gen=1
		+1s
		a: Join ask=5 key=k gen=1 wait=30s
			→ 1s a: Reply ask=5 kind=lease gen=1 flight=0.1.2 life=30s
	`)
}

func TestALeaseThatIsAbandonedGoesOnToOneWaiter(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 since=9 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 since=9 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		b: Join ask=2 key=k gen=1 since=10 wait=30s
			→ b: Parked ask=2 flight=0.1.1 holder=a/1
		# the one who has seen most: the other can wait for it, not the other way round
		a: Outcome flight=0.1.1 kind=abandon
			→ b: Reply ask=2 kind=lease gen=1 flight=0.1.2 life=30s
			→ b: Parked ask=1 flight=0.1.2 holder=b/1
			→ a: Taken flight=0.1.1
	`)
}

func TestAnOutcomeIsAcknowledgedOnceAllWhoWaitedHaveIt(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b c"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		c: Join ask=1 key=k gen=1 wait=30s
			→ c: Parked ask=1 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=value value=10
			→ b: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10
			→ c: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10
		b: Took ask=1 flight=0.1.1
		# offered again meanwhile
		a: Outcome flight=0.1.1 key=k kind=value value=10
		# who is dead does not count
		Changed revision=11 nodes=c/2@11
			→ a: Taken flight=0.1.1
	`)
}

func TestAnOutcomeThatIsNeverTakenIsForgottenAfterTheLimit(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Join ask=1 key=k gen=1 wait=30s
			→ b: Parked ask=1 flight=0.1.1 holder=a/1
		a: Outcome flight=0.1.1 key=k kind=value value=10
			→ b: Reply ask=1 kind=value gen=1 flight=0.1.1 value=10
		Closed peer=b/1
		+4999999999ns
		+1ns
			→ 5s a: Taken flight=0.1.1
	`)
}

func TestAnOutcomeThatWasTakenIsRememberedAsTaken(t *testing.T) {
	transcript(t, scene{self: "o", others: "a"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		a: Outcome flight=0.1.1 key=k kind=value value=10
			→ a: Taken flight=0.1.1
		# its holder has not heard so, and offers it on its next stream
		Opened peer=a/1
			→ a: End
		a: Rejoin flight=0.1.1 key=k life=30s outcome=value:10
			→ a: Taken flight=0.1.1
	`)
}

func TestAHolderKeepsItsOutcomeUntilItIsTaken(t *testing.T) {
	transcript(t, scene{self: "h", others: "o m", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Done flight=0.1.1 kind=value value=10+keep
			→ o: Outcome flight=0.1.1 key=k kind=value value=10+keep
		Done flight=0.1.1 kind=value value=10+keep
			→ Settled flight=0.1.1 void
		Opened peer=o/1
			→ o: Rejoin flight=0.1.1 key=k since=10 life=30s outcome=value:10+keep
			→ o: End
		m: Recover round=1 parts=0.2
			→ m: Rejoin flight=0.1.1 key=k since=10 life=30s outcome=value:10+keep
			→ m: End round=1
		# from who is not the owner any more it does not count
		o: Taken flight=0.1.1
		m: Taken flight=0.1.1
			→ Settled flight=0.1.1
	`)
}

func TestAnOutcomeThatNobodyTakesIsVoidAtItsHolder(t *testing.T) {
	transcript(t, scene{self: "h", others: "o", table: "1:o/1@1"}, `
		Ask id=1 key=k since=10 wait=30s
			→ o: Join ask=1 key=k gen=1 since=10 wait=30s
		o: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
			→ o: Extend flights=0.1.1
			→ Answered ask=1 kind=lease flight=0.1.1 life=30s
		Closed peer=o/1
		Done flight=0.1.1 kind=value value=10+keep
		+4899999999ns
		+1ns
			→ 4.9s Settled flight=0.1.1 void
	`)
}

func TestAnOutcomeIsTakenOnlyFromItsHolder(t *testing.T) {
	transcript(t, scene{self: "o", others: "a b"}, `
		a: Join ask=1 key=k gen=1 wait=30s
			→ a: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		b: Outcome flight=0.1.1 key=k kind=value value=10
			→ (void outcome node=b/1 key=k)
			→ b: Taken flight=0.1.1 void
		b: Rejoin flight=0.1.1 key=k life=30s outcome=value:10
		b: Outcome flight=9.1.1 key=k kind=value value=10
	`)
}

func TestWhatIsKeptIsSeenBeforeAnotherIsGrantedItsKey(t *testing.T) {
	p := begin(t, scene{self: "o", others: "a b c"})
	for _, line := range []string{
		"a: Join ask=1 key=k gen=1 since=10 wait=1s",
		"b: Join ask=1 key=k gen=1 since=10 wait=30s",
		"invalidated k 11",
		"Changed revision=11",
		"c: Join ask=1 key=k gen=1 since=11 wait=30s",
	} {
		p.play(line)
	}
	// a's lease ends in the very Step in which c's value is kept.
	p.now = p.now.Add(readDuration("1s"))
	p.said.Reset()
	p.play("c: Outcome flight=0.1.2 key=k kind=value value=11+keep")
	p.play("Tick")
	want := "\t\t\t→ 1s Keep key=k value=11+keep\n" +
		"\t\t\t→ 1s c: Taken flight=0.1.2\n" +
		"\t\t\t→ 1s (holder lost node=a/1 key=k)\n" +
		"\t\t\t→ 1s a: Extended void=0.1.1\n" +
		"\t\t\t→ 1s b: Reply ask=1 kind=value gen=1 value=11+keep\n"
	if got := p.said.String(); got != want {
		t.Errorf("the core did\n%swant\n%s", got, want)
	}
}
