package placement

import (
	"cmp"
	"slices"

	"github.com/dchest/siphash"
)

// Assign returns the table that current should become, now that these are the
// members. A table holds, for each partition, the ID of its owner, or "" if it
// has none; an ID that is not a member's counts as none. Neither argument is changed.
// It panics with Validate's error if there is one.
func Assign(current []string, members []Member) []string {
	if err := Validate(members); err != nil {
		panic(err)
	}
	weighty := func(m Member) bool { return m.Weight > 0 }
	if !slices.ContainsFunc(members, weighty) {
		return make([]string, len(current))
	}
	t := newTable(current, members)
	settleDue(t.holders, len(current))
	for moving := t.movable(); len(moving) > 0; {
		moving = t.move(moving)
	}
	return t.owners()
}

// nobody is the owner of a partition that has none.
const nobody = -1

// A table is what Assign works on.
type table struct {
	holders []holder // sorted by ID
	owner   []int    // of each partition: an index of holders, or nobody
}

func newTable(current []string, members []Member) *table {
	t := &table{owner: make([]int, len(current))}
	index := make(map[string]int, len(members))
	for i, m := range byID(members) {
		t.holders = append(t.holders, holder{Member: m, hash: siphash.Hash(0, 0, bytesOf(m.ID))})
		index[m.ID] = i
	}
	for p, id := range current {
		i, isMember := index[id]
		if !isMember {
			t.owner[p] = nobody
			continue
		}
		t.owner[p] = i
		t.holders[i].has++
	}
	return t
}

// movable returns the partitions that have no owner, or one that holds more than
// is due to it.
func (t *table) movable() []int {
	var moving []int
	for p, from := range t.owner {
		if t.mayMove(from) {
			moving = append(moving, p)
		}
	}
	return moving
}

// mayMove says whether a partition of from's is to be moved.
func (t *table) mayMove(from int) bool {
	return from == nobody || t.holders[from].has > t.holders[from].due
}

// move gives partitions to new owners, those first that gain most, until their
// present owners hold what is due to them. It returns those for whose new owner
// others left no room: somebody is full now, so there are at most as many rounds
// as members. As much room is left as partitions have yet to move.
func (t *table) move(moving []int) (left []int) {
	offers := make([]offer, len(moving))
	for i, p := range moving {
		offers[i] = t.bestOffer(p)
	}
	slices.SortFunc(offers, func(a, b offer) int {
		return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.partition, b.partition))
	})
	for _, o := range offers {
		from := t.owner[o.partition]
		switch {
		case !t.mayMove(from):
		case !t.hasRoom(o.to):
			left = append(left, o.partition)
		default:
			t.give(o.partition, o.to)
		}
	}
	return left
}

// An offer is what a partition's best new owner would gain on the present one.
type offer struct {
	partition, to int
	gain          int64
}

func (t *table) bestOffer(p int) offer {
	best := offer{partition: p, to: nobody}
	present := int64(0)
	if from := t.owner[p]; from != nobody {
		present = t.score(from, p)
	}
	for i := range t.holders {
		if !t.hasRoom(i) {
			continue
		}
		if gain := t.score(i, p) - present; best.to == nobody || gain > best.gain {
			best.to, best.gain = i, gain
		}
	}
	return best
}

func (t *table) hasRoom(i int) bool { return t.holders[i].has < t.holders[i].due }

// score is what holder i and partition p draw, below 1<<63.
func (t *table) score(i, p int) int64 {
	return int64(siphash.Hash(t.holders[i].hash, uint64(p), nil) >> 1)
}

func (t *table) give(p, to int) {
	if from := t.owner[p]; from != nobody {
		t.holders[from].has--
	}
	t.owner[p] = to
	t.holders[to].has++
}

// owners returns the IDs of the owners.
func (t *table) owners() []string {
	ids := make([]string, len(t.owner))
	for p, i := range t.owner {
		ids[p] = t.holders[i].ID
	}
	return ids
}
