package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkAssign returns Assign's result after it has been held to A1, A2 and A3.
func checkAssign(t *testing.T, current []string, members []Member) []string {
	t.Helper()
	before, membersBefore := slices.Clone(current), slices.Clone(members)
	next := Assign(current, members)
	if !slices.Equal(current, before) || !slices.Equal(members, membersBefore) {
		t.Fatalf("Assign(%q, %v) changed its arguments", before, membersBefore)
	}
	checkBalance(t, next, members)
	slices.Reverse(members)
	if again := Assign(current, members); !slices.Equal(again, next) {
		t.Fatalf("A1: Assign(%q, %v) = %q, with the members reversed %q", current, members, next, again)
	}
	if got, want := moves(current, next), fewestMoves(current, members); got != want {
		t.Fatalf("A3: Assign(%q, %v) = %q: %d moves, want %d", current, members, next, got, want)
	}
	if again := Assign(next, members); !slices.Equal(again, next) {
		t.Fatalf("A4: Assign(%q, %v) = %q, and again %q", current, members, next, again)
	}
	return next
}

// checkBalance holds owners to A2.
func checkBalance(t *testing.T, owners []string, members []Member) {
	t.Helper()
	total := 0
	for _, m := range members {
		total += m.Weight
	}
	has := count(owners)
	if total == 0 {
		if has[""] != len(owners) {
			t.Fatalf("A2: members %v own %q, want nothing", members, owners)
		}
		return
	}
	sum := 0
	for _, m := range members {
		exact := len(owners) * m.Weight
		if low, high := exact/total, (exact+total-1)/total; has[m.ID] < low || has[m.ID] > high {
			t.Fatalf("A2: %q owns %d of %d partitions, want %d to %d; members %v", m.ID, has[m.ID], len(owners), low, high, members)
		}
		sum += has[m.ID]
	}
	if sum != len(owners) {
		t.Fatalf("A2: members own %d partitions of %d: %q", sum, len(owners), owners)
	}
}

// fewestMoves is the smallest number of moves from current to any table for which
// A2 holds, found by another way than Assign's: by[k] is the least for the
// members so far if k odd partitions have gone to them.
func fewestMoves(current []string, members []Member) int {
	total := 0
	for _, m := range members {
		total += m.Weight
	}
	has, moved := count(current), len(current)-count(current)[""]
	if total == 0 {
		return moved
	}
	const never = 1 << 30
	by := []int{0}
	odd := len(current)
	for _, m := range members {
		exact := len(current) * m.Weight
		low := exact / total
		odd -= low
		next := slices.Repeat([]int{never}, len(by)+1)
		for k, given := range by {
			next[k] = min(next[k], given+max(0, low-has[m.ID]))
			if exact%total > 0 {
				next[k+1] = min(next[k+1], given+max(0, low+1-has[m.ID]))
			}
		}
		by = next
	}
	return by[odd]
}

func count(owners []string) map[string]int {
	has := make(map[string]int)
	for _, id := range owners {
		has[id]++
	}
	return has
}

func moves(before, after []string) (n int) {
	for p := range before {
		if before[p] != after[p] {
			n++
		}
	}
	return n
}

// converge has the members write their own parts of the table, some partitions
// at a time and in random order, until nothing is left to write, and holds it
// to A4. Without members nobody writes.
func converge(t *testing.T, r *rand.Rand, current []string, members []Member) {
	t.Helper()
	if len(members) == 0 {
		return
	}
	owners, target := slices.Clone(current), Assign(current, members)
	due, total := count(target), moves(current, target)
	moved := make([]bool, len(owners))
	for n := 0; n < total; {
		writer := members[r.IntN(len(members))].ID
		part := partOf(writer, owners, Assign(owners, members), members)
		r.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		for _, change := range part[:min(len(part), 1+r.IntN(len(part)+1))] {
			if moved[change.partition] {
				t.Fatalf("A4: from %q, members %v: partition %d moves twice", current, members, change.partition)
			}
			moved[change.partition] = true
			owners[change.partition] = change.to
			n++
		}
		if again := Assign(owners, members); n+moves(owners, again) != total || !sameCount(count(again), due) {
			t.Fatalf("A4: from %q, members %v: after %d of %d moves Assign(%q) = %q", current, members, n, total, owners, again)
		}
	}
	checkBalance(t, owners, members)
}

type change struct {
	partition int
	to        string
}

// partOf returns the changes from owners to target that writer may write.
func partOf(writer string, owners, target []string, members []Member) (part []change) {
	for p, id := range owners {
		isMember := slices.ContainsFunc(members, func(m Member) bool { return m.ID == id })
		if target[p] != id && (id == writer || !isMember) {
			part = append(part, change{p, target[p]})
		}
	}
	return part
}

func sameCount(a, b map[string]int) bool {
	for _, m := range []map[string]int{a, b} {
		for id := range m {
			if a[id] != b[id] {
				return false
			}
		}
	}
	return true
}

// equals returns n members n0, n1, … of weight 1.
func equals(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{fmt.Sprint("n", i), 1}
	}
	return members
}

// randomMembers returns members out of n0 to n11, often of equal weights, often
// of very unequal ones, some without.
func randomMembers(r *rand.Rand) []Member {
	members := equals(12)
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	members = members[:r.IntN(len(members)+1)]
	largest := []int{1, 2, 5, 1000, MaxWeight}[r.IntN(5)]
	for i := range members {
		members[i].Weight = r.IntN(largest+1) * min(1, r.IntN(5))
	}
	return members
}

// randomOwners returns a table of up to 40 partitions whose owners are n0 to n14
// or nobody, evenly spread or not.
func randomOwners(r *rand.Rand) []string {
	owners := make([]string, r.IntN(41))
	among := 1 + r.IntN(15)
	for p := range owners {
		if r.IntN(6) > 0 {
			owners[p] = fmt.Sprint("n", r.IntN(among))
		}
	}
	return owners
}
