package corral

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stopped is a clock.
func stopped() int64 { return 0 }

// history is the model: every invalidation there was, in the order in which
// they were applied.
type history struct {
	all   []Invalidation
	seen  *revisions
	start uint64
	clock int64 // counts all
}

// softened says from when on a value counts as expired: the times of the first
// and the last soft invalidation that concerns it and is newer.
func (h *history) softened(tags []string, v uint64) (first, last int64, yes bool) {
	for i, inv := range h.all {
		if inv.Soft && inv.Revision > v && concerns(inv, "", tags) {
			if last = int64(i + 1); !yes {
				first = last
			}
			yes = true
		}
	}
	return first, last, yes
}

func (h *history) apply(inv Invalidation) uint64 {
	h.clock++
	inv = h.seen.apply(inv)
	h.all = append(h.all, inv)
	return inv.Revision
}

// touched is the rule itself: does an invalidation that concerns the value lie
// in (v, s]?
func (h *history) touched(key string, tags []string, v, s uint64) bool {
	return slices.ContainsFunc(h.all, func(inv Invalidation) bool {
		return inv.Revision > v && inv.Revision <= s && concerns(inv, key, tags)
	})
}

// touchedHard is touched for a value of this process, which stays after a soft
// invalidation.
func (h *history) touchedHard(tags []string, v, s uint64) bool {
	return slices.ContainsFunc(h.all, func(inv Invalidation) bool {
		return !inv.Soft && inv.Revision > v && inv.Revision <= s && concerns(inv, "", tags)
	})
}

// hidden reports whether an invalidation of the value's tags, of a tag that
// shares a slot with one of them, or of everything lies beyond s: then an older
// one may stand behind it.
func (h *history) hidden(tags []string, s uint64) bool {
	slots := h.seen.slots(tags)
	return slices.ContainsFunc(h.all, func(inv Invalidation) bool {
		return inv.Revision > s && (inv.All || slices.ContainsFunc(inv.Tags, func(tag string) bool { return slices.Contains(slots, h.seen.slot(tag)) }))
	})
}

func concerns(inv Invalidation, key string, tags []string) bool {
	return inv.All || key != "" && slices.Contains(inv.Keys, key) ||
		key != "" && slices.ContainsFunc(inv.Prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) ||
		slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(inv.Tags, tag) })
}

// floor is the newest revision of the keys that are not among those
// invalidated last, or where the numbers start.
func (h *history) floor() uint64 {
	last := map[string]bool{}
	for _, inv := range slices.Backward(h.all) {
		for _, key := range slices.Backward(inv.Keys) {
			if last[key] = true; len(last) > recentKeys {
				return inv.Revision
			}
		}
	}
	return h.start
}

func (h *history) check(t *testing.T, key string, tags []string, v, s uint64, floor uint64, exact bool) {
	t.Helper()
	slots := h.seen.slots(tags)
	here, elsewhere := h.seen.untouched(slots, v, s), h.seen.untouchedElsewhere(key, slots, v, s)
	first, last, want := h.softened(tags, v)
	if at, got := h.seen.soft.since(slots, v); got != want || want && (at < first || at > last) {
		t.Fatalf("R4: a value with tags %q of %d: got expired %v at %d, want %v between %d and %d", tags, v, got, at, want, first, last)
	}
	if here && h.touchedHard(tags, v, s) {
		t.Fatalf("R1: a value with tags %q of %d answers at %d in spite of an invalidation between", tags, v, s)
	}
	if elsewhere && h.touched(key, tags, v, s) {
		t.Fatalf("R1: a value %q with tags %q of %d answers at %d in spite of an invalidation between", key, tags, v, s)
	}
	if !exact || v >= s || h.hidden(tags, s) {
		return
	}
	if !here && !h.touchedHard(tags, v, s) {
		t.Fatalf("a value with tags %q of %d is refused at %d, and nothing that concerns it lies between", tags, v, s)
	}
	if !elsewhere && here && v >= floor && !h.touched(key, tags, v, h.seen.applied.Load()) {
		t.Fatalf("a value %q of %d is refused at %d, above the floor %d, and nothing that concerns it lies between", key, v, s, floor)
	}
}

// tagsThatDiffer are names of tags with slots of their own.
func tagsThatDiffer(r *revisions, n int) []string {
	var tags []string
	taken := map[uint16]bool{}
	for i := 0; len(tags) < n; i++ {
		if tag := fmt.Sprint("tag", i); !taken[r.slot(tag)] {
			taken[r.slot(tag)] = true
			tags = append(tags, tag)
		}
	}
	return tags
}

var others = func() (keys []string) {
	for i := range recentKeys - 2 {
		keys = append(keys, fmt.Sprint("other", i))
	}
	return keys
}()

// A script's bytes are steps: what is invalidated, and how far the revision goes.
func FuzzNoValueOutlivesAnInvalidationThatConcernsIt(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 10, 50, 200} {
		script := make([]byte, n)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(uint64(n), script)
	}
	f.Add(uint64(0), []byte{7, 7, 7, 0, 1, 2, 3, 8, 8, 8, 8, 9})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		random := rand.New(rand.NewPCG(seed, 5))
		h := &history{start: seed % 3}
		h.seen = newRevisions(h.start, func() int64 { return h.clock })
		tags := tagsThatDiffer(h.seen, 6)
		keys := []string{"a", "b", "c"}
		exact := true // until an invalidation comes twice
		for _, step := range script[:min(len(script), 200)] {
			before := h.seen.applied.Load()
			var inv Invalidation
			switch what := step & 0xf; {
			case what < 5:
				inv.Keys = []string{keys[random.IntN(3)]}
			case what < 9:
				inv.Tags = []string{tags[random.IntN(6)], tags[random.IntN(6)]}
			case what == 9:
				inv.All = true
			case what == 10: // many keys, so that others leave the list
				inv.Keys = others
			case what == 11:
				inv.Keys, inv.Tags = keys[:2], tags[:1]
			case what == 12 && len(h.all) > 0: // a watch begins again
				inv, exact = h.all[random.IntN(len(h.all))], false
			case what == 13:
				inv.Soft, inv.Tags = true, []string{tags[random.IntN(6)], tags[random.IntN(6)]}
			case what == 14:
				inv.Soft, inv.All, inv.Prefixes = true, random.IntN(2) == 0, []string{keys[random.IntN(3)]}
			case what == 15:
				inv.Prefixes = []string{keys[random.IntN(3)], "other"}
			}
			if gap := uint64(step >> 4); gap > 0 && inv.Revision == 0 {
				inv.Revision = before + gap // a coordinator's numbers have gaps
			}
			at := h.apply(inv)
			if applied := h.seen.applied.Load(); applied < before || applied < at {
				t.Fatalf("R3: applied went from %d to %d with the invalidation of %d", before, applied, at)
			}
			var floor uint64
			if exact {
				floor = h.floor()
			}
			for range 8 {
				v := random.Uint64N(h.seen.applied.Load() + 2)
				s := random.Uint64N(h.seen.applied.Load() + 2)
				own := tags[:random.IntN(3)]
				for _, s := range []uint64{s, h.seen.applied.Load(), forever} { // R1, R2
					h.check(t, keys[random.IntN(3)], own, v, s, floor, exact)
				}
			}
		}
	})
}

func TestAnInvalidationThatIsToldAgainHidesNoNewerOneOfItsKey(t *testing.T) {
	r := newRevisions(0, stopped)
	r.apply(Invalidation{Revision: 100, Target: Target{Keys: []string{"k"}}})
	r.apply(Invalidation{Revision: 200, Target: Target{Keys: []string{"k"}}})
	for i := range recentKeys { // so that k leaves the list
		r.apply(Invalidation{Revision: 300, Target: Target{Keys: []string{fmt.Sprint("other", i)}}})
	}
	r.apply(Invalidation{Revision: 100, Target: Target{Keys: []string{"k"}}})
	for v, want := range map[uint64]bool{99: false, 150: false, 199: false, 200: true} {
		if got := r.untouchedElsewhere("k", nil, v, 300); got != want {
			t.Errorf("a value of %d answers at 300: %v, want %v", v, got, want)
		}
	}
}

func TestRevisionsDecideAtTheNumberItself(t *testing.T) {
	r := newRevisions(0, stopped)
	r.apply(Invalidation{Revision: 10, Target: Target{Tags: []string{"t"}}})
	r.apply(Invalidation{Revision: 20, Target: Target{Keys: []string{"k"}}})
	r.apply(Invalidation{Revision: 30, Target: Target{All: true}})
	tagged := r.slots([]string{"t"})
	for _, test := range []struct {
		slots []uint16
		v, s  uint64
		want  bool
	}{
		{tagged, 9, 9, true}, {tagged, 9, 10, false}, {tagged, 10, 10, true}, {tagged, 10, 9, true},
		{tagged, 29, 30, false}, {tagged, 30, 30, true}, {tagged, 30, forever, true}, {tagged, 29, forever, false},
		{nil, 29, 30, false}, {nil, 30, 31, true}, {nil, 30, forever, true},
		{nil, 9, 10, false}, // conservative: 30 is the newest that concerns everything
	} {
		if got := r.untouched(test.slots, test.v, test.s); got != test.want {
			t.Errorf("untouched(%v, %d, %d): got %v, want %v", test.slots, test.v, test.s, got, test.want)
		}
	}
	r = newRevisions(0, stopped)
	r.apply(Invalidation{Revision: 20, Target: Target{Keys: []string{"k"}}})
	for _, test := range []struct {
		key  string
		v, s uint64
		want bool
	}{{"k", 19, 19, true}, {"k", 19, 20, false}, {"k", 20, 20, true}, {"k", 20, forever, true}, {"other", 19, 20, true}} {
		if got := r.untouchedElsewhere(test.key, nil, test.v, test.s); got != test.want {
			t.Errorf("untouchedElsewhere(%q, %d, %d): got %v, want %v", test.key, test.v, test.s, got, test.want)
		}
	}
}

func TestThePrefixInvalidatedLongestAgoIsForgottenAndItsRevisionIsTheFloor(t *testing.T) {
	r := newRevisions(0, stopped)
	prefix := func(i int) string { return fmt.Sprint("prefix", i, "/") }
	for i := 1; i <= recentPrefixes; i++ {
		r.apply(Invalidation{Target: Target{Prefixes: []string{prefix(i)}}}) // revision i
	}
	r.apply(Invalidation{Target: Target{Prefixes: []string{prefix(1)}}}) // not new, so nothing is forgotten
	if !r.untouchedElsewhere("other", nil, 1, forever) || r.floor != 0 {
		t.Fatalf("the floor is %d before the list is full, want 0", r.floor)
	}
	r.apply(Invalidation{Target: Target{Prefixes: []string{"new/"}}})
	if r.floor != 2 {
		t.Fatalf("the floor is %d, want 2: prefix 2 is the one invalidated longest ago", r.floor)
	}
	for _, test := range []struct {
		key  string
		v    uint64
		want bool
	}{
		{"other", 1, false}, {"other", 2, true}, {prefix(2) + "a", 1, false}, {prefix(2) + "a", 2, true}, // the floor
		{prefix(3) + "a", 2, false}, {prefix(3) + "a", 3, true}, {prefix(3), 2, false}, {"prefix3", 2, true},
		{prefix(1) + "a", recentPrefixes, false}, {prefix(1) + "a", recentPrefixes + 1, true},
	} {
		if got := r.untouchedElsewhere(test.key, nil, test.v, forever); got != test.want {
			t.Errorf("%q of %d: got %v, want %v", test.key, test.v, got, test.want)
		}
	}
	if len(r.prefixes) != recentPrefixes {
		t.Errorf("%d prefixes are remembered, want %d", len(r.prefixes), recentPrefixes)
	}
}

func TestTheKeyInvalidatedLongestAgoIsRememberedWithThoseThatShareItsSlot(t *testing.T) {
	r := newRevisions(0, stopped)
	key := func(i int) string { return fmt.Sprint("key", i) }
	slot := func(key string) uint16 { return uint16(maphash.String(r.seed, key)) }
	for i := 1; i <= recentKeys; i++ {
		r.apply(Invalidation{Target: Target{Keys: []string{key(i)}}}) // revision i
	}
	r.apply(Invalidation{Target: Target{Keys: []string{key(1)}}}) // recentKeys+1: not new, so none leaves
	if r.older != nil {
		t.Fatal("a key has left before the list is full")
	}
	r.apply(Invalidation{Target: Target{Keys: []string{"new"}}}) // key 2 leaves, the one invalidated longest ago
	twin, other := "", ""
	for i := 0; twin == "" || other == ""; i++ {
		switch k := fmt.Sprint("other", i); {
		case slot(k) == slot(key(2)):
			twin = k
		case other == "":
			other = k
		}
	}
	for _, test := range []struct {
		key  string
		v    uint64
		want bool
	}{
		{other, 0, true}, {twin, 1, false}, {twin, 2, true}, {key(2), 1, false}, {key(2), 2, true},
		{key(3), 2, false}, {key(3), 3, true},
		{key(1), recentKeys, false}, {key(1), recentKeys + 1, true},
	} {
		if got := r.untouchedElsewhere(test.key, nil, test.v, forever); got != test.want {
			t.Errorf("%q of %d: got %v, want %v", test.key, test.v, got, test.want)
		}
	}
	r.apply(Invalidation{Target: Target{Keys: []string{key(2)}}}) // back among the recent, with a newer revision
	if v := uint64(recentKeys + 2); r.untouchedElsewhere(key(2), nil, v, forever) || !r.untouchedElsewhere(key(2), nil, v+1, forever) {
		t.Error("a key that is invalidated again has its old revision")
	}
	if len(r.recent) != recentKeys || r.order.Len() != recentKeys || r.floor != 0 {
		t.Errorf("%d and %d keys are remembered, and the floor is %d; want %d and 0", len(r.recent), r.order.Len(), r.floor, recentKeys)
	}
}

func TestTagsThatShareASlotInvalidateEachOther(t *testing.T) {
	r := newRevisions(0, stopped)
	tag, twin := "tag", ""
	for i := 0; twin == ""; i++ {
		if other := fmt.Sprint("other", i); r.slot(other) == r.slot(tag) {
			twin = other
		}
	}
	r.apply(Invalidation{Revision: 5, Target: Target{Tags: []string{twin}}})
	slots := r.slots([]string{tag})
	for _, test := range []struct {
		v    uint64
		want bool
	}{{4, false}, {5, true}} {
		if got := r.untouched(slots, test.v, forever); got != test.want {
			t.Errorf("a value of %d with a tag in the slot of one invalidated at 5: got %v, want %v", test.v, got, test.want)
		}
	}
	r.apply(Invalidation{Revision: 4, Target: Target{Tags: []string{tag}}}) // a repeat, late
	if r.untouched(slots, 4, forever) || r.applied.Load() != 5 {
		t.Errorf("a late invalidation made a slot or applied fall")
	}
}

func TestTheLocalCounterGoesOnFromWhereItStarts(t *testing.T) {
	r := newRevisions(41, stopped)
	if v := r.apply(Invalidation{Target: Target{All: true}}).Revision; v != 42 || r.applied.Load() != 42 {
		t.Errorf("the first invalidation is %d, applied %d, want 42", v, r.applied.Load())
	}
	r.apply(Invalidation{Revision: 50})
	if v := r.apply(Invalidation{Target: Target{All: true}}).Revision; v != 51 {
		t.Errorf("after the coordinator's 50 comes %d, want 51", v)
	}
	if !newRevisions(41, stopped).untouchedElsewhere("k", nil, 40, forever) {
		t.Error("a store that gives out a record from before the counter's start vouches for it")
	}
}

func TestLocalInvalidationsGetNumbersOfTheirOwn(t *testing.T) {
	const writers, each = 8, 1000
	r := newRevisions(0, stopped)
	revisions := make([][]uint64, writers)
	many := others[:50] // so that one is at it while others come
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				target := Target{Tags: many, Keys: many[:i%20], All: i%50 == 0}
				n := r.apply(Invalidation{Target: target}).Revision
				if s := r.applied.Load(); s < n || r.untouched(r.slots(target.Tags), n-1, s) {
					t.Errorf("R3: %d is applied, at %d, and a value from before it answers", n, s)
				}
				revisions[w] = append(revisions[w], n)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(revisions...)
	slices.Sort(all)
	for i, n := range all {
		if n != uint64(i+1) {
			t.Fatalf("the %dth number is %d", i+1, n)
		}
	}
}

// What revision n invalidates is a function of n, so a reader who has seen it
// applied knows what must be visible.
func TestARevisionIsAppliedOnlyOnceItsInvalidationShows(t *testing.T) {
	const last, gap = 30_000, 3
	target := func(n uint64) Target {
		switch n / gap % 3 {
		case 0:
			return Target{Tags: append(others[:50:50], fmt.Sprint("tag", n%1000))}
		case 1:
			return Target{Keys: []string{fmt.Sprint("key", n%1000)}}
		}
		return Target{All: true}
	}
	r := newRevisions(0, stopped)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(gap); n <= last; n += gap {
			r.apply(Invalidation{Revision: n, Target: target(n)})
		}
	})
	for range 3 {
		wg.Go(func() {
			before := uint64(0)
			for before < last {
				s := r.applied.Load()
				if s < before {
					t.Errorf("R3: applied fell from %d to %d", before, s)
				}
				if before = s; s == 0 {
					continue
				}
				what := target(s)
				shows := !r.untouched(r.slots(what.Tags[max(len(what.Tags)-1, 0):]), s-1, s)
				if len(what.Keys) > 0 {
					shows = !r.untouchedElsewhere(what.Keys[0], nil, s-1, s)
				}
				if !shows {
					t.Errorf("R3: %d is applied and its invalidation of %+v does not show", s, what)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestALongKeyTakesNoMoreRoomThanAShortOne(t *testing.T) {
	r := newRevisions(0, stopped)
	before := heap()
	for i := range recentKeys {
		key := append(bytes.Repeat([]byte{'k'}, 8<<10), fmt.Sprint(i)...)
		r.apply(Invalidation{Target: Target{Keys: []string{string(key)}}})
	}
	if grown := heap() - before; grown > recentKeys*256 {
		t.Errorf("%d keys of 8 KiB take %d bytes, want at most %d", recentKeys, grown, recentKeys*256)
	}
	if r.untouchedElsewhere("other", nil, 0, 1) != true {
		t.Error("a key that was not invalidated is refused")
	}
}
