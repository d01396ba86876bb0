package placement

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAssignMendsTheTable(t *testing.T) {
	for _, v := range []struct {
		name    string
		current string
		members []Member
		want    string
	}{
		{"nobody", "a b - -", nil, "- - - -"},
		{"no partitions", "", []Member{{"a", 1}}, ""},
		{"only members without weight", "a b - -", []Member{{"a", 0}, {"b", 0}}, "- - - -"},
		{"one member", "- x a", []Member{{"a", 7}}, "a a a"},
		{"what is due stays", "a a b b", []Member{{"a", 1}, {"b", 1}}, "a a b b"},
		{"the odd one stays with a", "a a b", []Member{{"a", 1}, {"b", 1}}, "a a b"},
		{"the odd one stays with b", "a b b", []Member{{"a", 1}, {"b", 1}}, "a b b"},
		{"a dead owner's partition goes", "a a b x", []Member{{"a", 1}, {"b", 1}}, "a a b b"},
		{"a drained owner's partitions go", "a a b b", []Member{{"a", 0}, {"b", 1}}, "b b b b"},
		{"more members than partitions", "a b", []Member{{"a", 1}, {"b", 1}, {"c", 1}}, "a b"},
		{"by weight", "a a a a b b", []Member{{"a", 2}, {"b", 1}}, "a a a a b b"},
		{"the largest remainder has the odd one", "- - -", []Member{{"a", 1}, {"b", MaxWeight}}, "b b b"},
		{"the odd one stays, be its remainder small", "a b b", []Member{{"a", 1}, {"b", MaxWeight}}, "a b b"},
		{"a whole share takes no odd one", "a a a b b", []Member{{"a", 2}, {"b", 3}}, ""},
	} {
		t.Run(v.name, func(t *testing.T) {
			got := checkAssign(t, tableOf(v.current), v.members)
			if v.want != "" && !slices.Equal(got, tableOf(v.want)) {
				t.Errorf("Assign(%s, %v) = %q, want %s", v.current, v.members, got, v.want)
			}
		})
	}
}

// tableOf reads a table from IDs with blanks between them, - for nobody.
func tableOf(text string) []string {
	owners := strings.Fields(text)
	for p, id := range owners {
		if id == "-" {
			owners[p] = ""
		}
	}
	return owners
}

func TestFromAnyTableAssignBalancesWithTheFewestMoves(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for range 4_000 {
		checkAssign(t, randomOwners(r), randomMembers(r))
	}
}

func TestPartsWrittenInAnyOrderConverge(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for range 1_000 {
		converge(t, r, randomOwners(r), randomMembers(r))
	}
}

func TestAMemberThatLeavesTakesOnlyItsOwn(t *testing.T) {
	for n := 2; n <= 100; n++ {
		members := equals(n)
		before := Assign(make([]string, 1024), members)
		gone := members[n/2].ID
		after := Assign(before, slices.Delete(members, n/2, n/2+1))
		for p := range before {
			if before[p] != gone && after[p] != before[p] {
				t.Fatalf("%q left %d members: partition %d went from %q to %q", gone, n, p, before[p], after[p])
			}
		}
	}
}

func TestOnlyAMemberThatJoinsIsGivenPartitions(t *testing.T) {
	owners := make([]string, 1024)
	for n := 1; n <= 100; n++ {
		before := owners
		owners = Assign(before, equals(n))
		newcomer := fmt.Sprint("n", n-1)
		for p := range before {
			if before[p] != owners[p] && owners[p] != newcomer {
				t.Fatalf("%q joined: partition %d went from %q to %q", newcomer, p, before[p], owners[p])
			}
		}
		if has := count(owners)[newcomer]; has != 1024/n {
			t.Errorf("%q joined %d others and has %d partitions, want %d", newcomer, n-1, has, 1024/n)
		}
	}
}

func TestANodeThatComesBackIsGivenMostlyWhatItHad(t *testing.T) {
	for _, v := range []struct{ n, had, again int }{
		{2, 512, 486}, {3, 342, 311}, {5, 205, 194}, {10, 103, 85}, {100, 11, 9},
	} {
		members := equals(v.n)
		before := Assign(make([]string, 1024), members)
		without := Assign(before, members[1:])
		back := Assign(without, members)
		again := 0
		for p := range before {
			if before[p] == "n0" && back[p] == "n0" {
				again++
			}
		}
		if had := count(before)["n0"]; had != v.had || again != v.again {
			t.Errorf("one of %d nodes had %d partitions, and %d of them again; want %d and %d", v.n, had, again, v.had, v.again)
		}
	}
}

func TestEveryProcessAssignsTheSame(t *testing.T) {
	owners := Assign(make([]string, 16), []Member{{"a", 1}, {"b", 2}, {"c", 1}})
	if got, want := strings.Join(owners, " "), "b b a a b a a b b c c b b c c b"; got != want {
		t.Errorf("16 partitions of a, b of weight 2 and c: %s, want %s", got, want)
	}
	owners = make([]string, 1024)
	for _, n := range []int{1, 3, 5, 4, 100, 7} {
		owners = Assign(owners, equals(n))
	}
	const want = "2f1501cbf8785b080b40c8e21b36b8d5e283bab2a4fe4efb863245d0a2bea168"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(owners, " ")))); got != want {
		t.Errorf("1,024 partitions after 1, 3, 5, 4, 100, 7 members have the hash %s, want %s", got, want)
	}
}

func TestMembersThatCannotBePlacedByAreRefused(t *testing.T) {
	for _, v := range []struct {
		members []Member
		want    string
	}{
		{nil, ""},
		{[]Member{{"a", 0}, {"b", MaxWeight}}, ""},
		{[]Member{{"a", 1}, {"", 1}}, `placement: a member has no ID: name every node`},
		{[]Member{{"a", 1}, {"b", 1}, {"a", 2}}, `placement: two members are called "a": give every node a name of its own`},
		{[]Member{{"a", -1}}, `placement: member "a": weight is -1: choose one from 0 to 1048576`},
		{[]Member{{"a", MaxWeight + 1}}, `placement: member "a": weight is 1048577: choose one from 0 to 1048576`},
	} {
		got := ""
		if err := Validate(v.members); err != nil {
			got = err.Error()
		}
		if got != v.want {
			t.Errorf("Validate(%v) = %q, want %q", v.members, got, v.want)
		}
		if got := panicOf(func() { Assign([]string{""}, v.members) }); got != v.want {
			t.Errorf("Assign to %v: panic %q, want %q", v.members, got, v.want)
		}
	}
}

// A table and its members are read from data: how many partitions and members,
// then an owner each and a weight each. What remains chooses the writers.
func FuzzAssignBalancesAndConverges(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{8, 3, 0, 0, 0, 0, 1, 1, 1, 9, 1, 1, 1, 7})
	f.Add([]byte{5, 2, 1, 2, 1, 2, 1, 0, 255})
	f.Add([]byte{2, 6, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		owners, members := make([]string, next()%64), equals(int(next()%16))
		for p := range owners {
			if owner := next() % 18; owner > 0 {
				owners[p] = fmt.Sprint("n", owner-1)
			}
		}
		for i := range members {
			w := next()
			members[i].Weight = int(w&15) << (w >> 4)
		}
		checkAssign(t, owners, members)
		converge(t, rand.New(rand.NewPCG(uint64(next()), 0)), owners, members)
	})
}

func BenchmarkAssign(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		empty := make([]string, 1024)
		settled, grown := Assign(empty, equals(n)), equals(n+1)
		for _, from := range []struct {
			name    string
			owners  []string
			members []Member
		}{
			{"nothing", empty, equals(n)}, {"settled", settled, equals(n)}, {"joined", settled, grown},
		} {
			b.Run(fmt.Sprintf("nodes=%d/%s", n, from.name), func(b *testing.B) {
				for b.Loop() {
					Assign(from.owners, from.members)
				}
			})
		}
	}
}
