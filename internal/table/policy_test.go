package table

import (
	"fmt"
	"testing"
)

// access is a cache of values of weight 1: it reports a hit, or keeps the key.
func (w *world) access(key string) bool {
	if e := w.table.Get(key); e != nil {
		e.node.Touch()
		return true
	}
	w.keep(key, 1)
	return false
}

// hits accesses the keys in order and returns how many were there.
func (w *world) hits(keys []string) (n int) {
	for _, k := range keys {
		if w.access(k) {
			n++
		}
	}
	return n
}

func names(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return keys
}

func TestAScanDoesNotWashOutWhatIsUsed(t *testing.T) {
	w := newWorld(t, 1000)
	hot := names("hot", 900)
	for range 5 {
		w.hits(hot)
	}
	w.hits(names("scan", 20_000))
	if got := w.hits(hot); got < 850 {
		t.Errorf("%d of 900 used keys survived a scan of 20,000, want 850", got)
	}
	w.check()
}

func TestALoopLargerThanTheCacheHitsWhatFits(t *testing.T) {
	w := newWorld(t, 1000)
	loop := names("loop", 3000)
	for range 10 {
		w.hits(loop)
	}
	if got := w.hits(loop); got < 900 {
		t.Errorf("%d hits in a loop of 3,000 over room for 1,000, want 900", got)
	}
	w.check()
}

func TestAWorkingSetThatIsOutOfUseMakesWay(t *testing.T) {
	w := newWorld(t, 1000)
	old := names("old", 1000)
	for range 20 {
		w.hits(old)
	}
	loop := names("loop", 4000)
	for range 20 {
		w.hits(loop)
	}
	if got := w.hits(loop); got < 850 {
		t.Errorf("%d hits in a loop of 4,000 over room for 1,000, want 850", got)
	}
	w.check()
}

func TestSmallGrowsWhereLivesAreShortAndShrinksWhereTheyAreLong(t *testing.T) {
	w := newWorld(t, 1000)
	for i := range 40_000 { // each key is wanted again 200 keys later, and never after
		w.access(key(i))
		w.access(key(max(0, i-200)))
	}
	grown := w.table.policy.share
	if grown < 3*firstShare {
		t.Errorf("share = %.3f where keys live for 200 others, want at least %.3f", grown, 3*firstShare)
	}
	r := zipfKeys(5000, 100_000, 0.9)
	for _, i := range r {
		w.access(key(1_000_000 + int(i)))
	}
	if got := w.table.policy.share; got > grown/2 {
		t.Errorf("share = %.3f where popularity is all, want below %.3f", got, grown/2)
	}
	w.check()
}

func TestTheShareHasBounds(t *testing.T) {
	var p policy[thing]
	p.share = firstShare
	for _, c := range []struct{ votes, want float64 }{
		{1000, maxShare}, {1, maxShare}, {-1000, minShare}, {-1, minShare}, {0.25, minShare + 0.25}, {0.125, minShare + 0.375},
	} {
		p.learn(c.votes) // with no value there, each is worth all the room
		is(t, fmt.Sprintf("share after %v votes", c.votes), p.share, c.want)
	}
}

func TestAGhostVotesByHowSoonItReturns(t *testing.T) {
	const values, now = 1000, 5000
	var d edge
	for i := range uint16(200) { // one a tick, so that the mark b ticks back is at age b
		for d.since*ticksPerTurn < values-ticksPerTurn {
			d.evicted(0, values)
		}
		d.evicted(now-200+1+i, values)
	}
	for _, c := range []struct {
		age, turn uint16
		want      float64
	}{
		{0, 128, 1}, {7, 128, 1}, {8, 128, 0.125}, {63, 128, 0.125}, {64, 128, 0}, {stampMask, 128, 0},
		{0, 1, 1}, {1, 1, 0}, {1, 32, 1}, {2, 32, 0.125}, {15, 32, 0.125}, {16, 32, 0},
	} {
		is(t, fmt.Sprintf("vote at age %d, turn %d", c.age, c.turn), d.vote(c.age, now, c.turn), c.want)
	}
}

func TestValuesOfUnequalWeightsStayWithinTheBytes(t *testing.T) {
	w := newWorld(t, 10_000)
	for i, k := range zipfKeys(3000, 50_000, 0.8) {
		if e := w.table.Get(key(int(k))); e != nil {
			e.node.Touch()
		} else {
			w.keep(key(int(k)), 1+int64(k*k%5000))
		}
		if i%1000 == 0 {
			w.check()
		}
	}
	w.check()
}

func TestAnEvictionMovesABoundedNumberHoweverHotTheCacheIs(t *testing.T) {
	const n = 10 * sweepLimit
	for _, c := range []struct {
		name           string
		filled, evicts float64
	}{
		{"from main", minShare, maxShare},
		{"from small, whose share has shrunk", maxShare, minShare},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, n)
			w.table.policy.share = c.filled
			for i := range n {
				w.keep(key(i), 1)
			}
			for e := range w.table.All() {
				e.node.freq.Store(maxFreq)
			}
			w.table.policy.share = c.evicts
			w.keep("one more", 1)
			moved := 0
			for e := range w.table.All() {
				if e.node.freq.Load() != maxFreq {
					moved++
				}
			}
			if want := 2*sweepLimit + 1; moved > want {
				t.Errorf("an eviction moved %d entries, want at most %d", moved, want)
			}
			is(t, "evictions", len(w.evicted), 1)
			w.check()
		})
	}
}

func TestTheSeedHardlyChangesWhatIsHit(t *testing.T) {
	draws := zipfKeys(10_000, 60_000, 0.9)
	var low, high int
	for i := range 5 {
		w := newWorld(t, 1000)
		w.evictLog = false
		hits := 0
		for _, k := range draws {
			if w.access(key(int(k))) {
				hits++
			}
		}
		if i == 0 {
			low, high = hits, hits
		}
		low, high = min(low, hits), max(high, hits)
	}
	// Five draws of a spread whose deviation is about a tenth of a point: a
	// whole point is out of reach for luck and within that of a policy that
	// depends on its seed.
	if spread := float64(high-low) / float64(len(draws)); spread > 0.01 {
		t.Errorf("hit ratios of five seeds are %.4f apart, want at most 0.01", spread)
	}
}

func TestNobodyCanChooseKeysThatCollideInEveryTable(t *testing.T) {
	a, b := newWorld(t, 10), newWorld(t, 10)
	is(t, "equal hashes in two tables", a.table.policy.hash("key") == b.table.policy.hash("key"), false)
}
