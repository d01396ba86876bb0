package placement

import (
	"cmp"
	"slices"
)

// A holder is a member with what it has and what it should have.
type holder struct {
	Member
	hash uint64 // of the ID; the member's part in its scores
	has  int    // partitions that it owns now
	due  int    // partitions that it owns in the end
}

// settleDue sets what is due to each of holders, which come sorted by ID, so that
// together they are due all the partitions. At least one has a weight.
//
// Who holds more than the rounded-down number is in a class that comes first.
// Nobody leaves or enters that class by partial writes in a way that would change
// the outcome (A4): a member chosen from it stays above the rounded-down number, since
// it gives nothing below what is due; and only who was chosen already can rise into it.
func settleDue(holders []holder, partitions int) {
	total := int64(0)
	for _, h := range holders {
		total += int64(h.Weight)
	}
	odd := partitions
	remainder := make([]int64, len(holders))
	var candidates []int
	for i := range holders {
		h := &holders[i]
		exact := int64(partitions) * int64(h.Weight)
		h.due, remainder[i] = int(exact/total), exact%total
		odd -= h.due
		if remainder[i] > 0 {
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(i, j int) int {
		aboveI, aboveJ := holders[i].has > holders[i].due, holders[j].has > holders[j].due
		if aboveI != aboveJ {
			if aboveI {
				return -1
			}
			return 1
		}
		return cmp.Compare(remainder[j], remainder[i])
	})
	for _, i := range candidates[:odd] {
		holders[i].due++
	}
}
