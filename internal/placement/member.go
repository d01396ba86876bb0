package placement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxWeight is the largest weight of a member.
const MaxWeight = 1 << 20

// A Member is a node that can own partitions.
type Member struct {
	// ID is the node's name, unique among the members and not empty. It should
	// outlive a restart, so that the node is given its partitions again.
	ID string

	// Weight is this member's share in proportion to the others', from 0 to MaxWeight.
	// With 0 it owns nothing, and gives away what it has.
	Weight int
}

// Validate returns an error that names the first of members that Assign cannot
// place by: one without ID, with the ID of another, or with a weight
// outside 0 to MaxWeight. Whoever reads members from outside asks it before Assign.
func Validate(members []Member) error {
	sorted := byID(members)
	for i, m := range sorted {
		switch {
		case m.ID == "":
			return errors.New("placement: a member has no ID: name every node")
		case i > 0 && m.ID == sorted[i-1].ID:
			return fmt.Errorf("placement: two members are called %q: give every node a name of its own", m.ID)
		case m.Weight < 0 || m.Weight > MaxWeight:
			return fmt.Errorf("placement: member %q: weight is %d: choose one from 0 to %d", m.ID, m.Weight, MaxWeight)
		}
	}
	return nil
}

// byID returns members sorted by ID, and leaves members as they are.
func byID(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
}
