package core

import "testing"

func TestWhatIsKeptIsHandedOverBeforeItsPartitionIsGivenAway(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Drain
		+400ms
			→ 400ms HandOver round=1 gifts=0:b/1
		# it owns them meanwhile
		+1s
		b: Join ask=1 key=k gen=1 wait=30s
			→ 1.4s b: Reply ask=1 kind=lease gen=1 flight=0.1.1 life=30s
		HandedOver round=7
		HandedOver round=1
			→ 1.4s Write id=1 table=2:b/1@2 tableRevision=6
		HandedOver round=1
	`)
}

func TestAHandoverHasItsTime(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Drain
		+5399999999ns
			→ 400ms HandOver round=1 gifts=0:b/1
		+1ns
			→ 5.4s Write id=1 table=2:b/1@2 tableRevision=6
	`)
}

func TestABurialWaitsForNoHandover(t *testing.T) {
	transcript(t, scene{self: "a", others: "b c", table: "1:a/1@1,c/1@1"}, `
		keeps
		silent c
		+1500ms
		Drain stay
			→ 1.5s HandOver round=1 gifts=0:b/1
		+1s
			→ 2.1s (buried node=c/1)
			→ 2.1s Write id=1 table=2:b/1@2,b/1@2 tableRevision=6 bury=c/1@5
	`)
}

func TestAHandoverWaitsForAStreamToWhoHasJustCome(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Closed peer=b/1
		Drain
		+600ms
		Opened peer=b/1
			→ 600ms b: End
			→ 600ms HandOver round=1 gifts=0:b/1
	`)
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Closed peer=b/1
		Drain
		+1899999999ns
		+1ns
			→ 1.9s Write id=1 table=2:b/1@2 tableRevision=6
	`)
}

func TestAWriteThatIsRefusedIsHandedOverAnew(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Drain
		+400ms
			→ 400ms HandOver round=1 gifts=0:b/1
		HandedOver round=1
			→ 400ms Write id=1 table=2:b/1@2 tableRevision=6
		Wrote id=1 table=6
		+100ms
			→ 500ms HandOver round=2 gifts=0:b/1
	`)
}

func TestWhatIsGivenAwayBesidesIsHandedOverToo(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1,b/1@1,a/1@1,b/1@1"}, `
		keeps
		Drain
		+400ms
			→ 400ms HandOver round=1 gifts=0:b/1,2:b/1
		# c comes, and is to have them; it has no stream yet
		Changed revision=50 nodes=c/1@50
		HandedOver round=1
		Opened peer=c/1
			→ 400ms c: End
			→ 400ms HandOver round=2 gifts=0:c/1,2:c/1
		HandedOver round=2
			→ 400ms Write id=1 table=2:c/1@2,b/1@1,c/1@2,b/1@1 tableRevision=6
	`)
}

func TestAHandoverThatNothingCameOfHasItsTimeAnew(t *testing.T) {
	transcript(t, scene{self: "a", others: "b", table: "1:a/1@1"}, `
		keeps
		Drain stay
		+400ms
			→ 400ms HandOver round=1 gifts=0:b/1
		Undrain
		+400ms
		HandedOver round=1
		+3s
		Drain stay
			→ 3.8s HandOver round=2 gifts=0:b/1
		+4999999999ns
		+1ns
			→ 8.8s Write id=1 table=2:b/1@2 tableRevision=6
	`)
}
