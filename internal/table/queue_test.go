package table

import "testing"

// full returns a world of 100 values of weight 1, key-0 the oldest: five in
// small, to which it is entitled, and the rest in main.
func full(t *testing.T) (*world, []*thing) {
	w := newWorld(t, 100)
	var entries []*thing
	for i := range 100 {
		entries = append(entries, w.keep(key(i), 1))
	}
	is(t, "small's length", w.table.policy.small.len, 5)
	is(t, "main's length", w.table.policy.main.len, 95)
	return w, entries
}

func TestMainTakesNewcomersWhileItHasRoom(t *testing.T) {
	w, entries := full(t)
	is(t, "the first is in", entries[0].node.list, small)
	is(t, "the sixth is in", entries[5].node.list, main)
	is(t, "the next is in", w.keep("next", 1).node.list, small)
	is(t, "what it replaced", w.evicted[0], entries[0])
	w.check()
}

func TestAHitInSmallLeadsToMain(t *testing.T) {
	w, entries := full(t)
	entries[0].node.Touch()
	w.keep("next", 1)
	is(t, "the entry that was hit is in", entries[0].node.list, main)
	is(t, "its hits", entries[0].node.freq.Load(), 0)
	is(t, "evictions", len(w.evicted), 1)
	w.check()
}

func TestAKeyThatReturnsEarnsMain(t *testing.T) {
	for _, c := range []struct {
		name    string
		between func(p *policy[thing])
		want    listID
	}{
		{"sooner than main's oldest was looked at", func(*policy[thing]) {}, main},
		{"later than that", func(p *policy[thing]) {
			for e := p.main.head; e != nil; e = e.node.next {
				e.node.stamp = p.now
			}
		}, small},
		{"sooner, but the oldest was hit", func(p *policy[thing]) { p.main.tail.node.Touch() }, small},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := full(t)
			for _, k := range names("next", 6) {
				w.keep(k, 1)
			}
			is(t, "next-0 is there", w.table.Get("next-0") != nil, false)
			c.between(&w.table.policy)
			oldest := w.table.policy.main.tail
			again := w.keep("next-0", 1)
			is(t, "it is in", again.node.list, c.want)
			is(t, "the oldest's hits", oldest.node.freq.Load(), 0)
			w.check()
		})
	}
}

func TestAKeyThatMainLostStartsInSmall(t *testing.T) {
	w, entries := full(t)
	w.table.policy.share = maxShare // so that main has too much
	w.keep("next", 1)
	is(t, "what went", w.evicted[0], entries[5])
	is(t, "it returns to", w.keep(key(5), 1).node.list, small)
	w.check()
}

func TestRoomForANewcomerIsMadeBySmallFirst(t *testing.T) {
	w, entries := full(t)
	w.keep("three", 3)
	is(t, "evictions", len(w.evicted), 3)
	for i, e := range w.evicted {
		is(t, "evicted", e, entries[i])
	}
	is(t, "main's length", w.table.policy.main.len, 95)
	w.check()
}

func TestAValueThatGrowsTakesRoomFromItsOwnQueue(t *testing.T) {
	for _, c := range []struct {
		list       listID
		grows, pay int
	}{
		{small, 4, 0},
		{main, 50, 5},
	} {
		w, entries := full(t)
		is(t, "it is in", entries[c.grows].node.list, c.list)
		w.put(entries[c.grows], 3, false)
		is(t, "evictions", len(w.evicted), 2)
		for i, e := range w.evicted {
			is(t, "evicted", e, entries[c.pay+i])
		}
		is(t, "it is still in", entries[c.grows].node.list, c.list)
		w.check()
	}
}

func TestMainLooksAgainAtWhatWasHit(t *testing.T) {
	w, entries := full(t)
	w.table.policy.share = maxShare
	for range 2 {
		entries[5].node.Touch()
	}
	w.keep("next", 1)
	is(t, "what went", w.evicted[0], entries[6])
	is(t, "the hits left", entries[5].node.freq.Load(), 1)
	is(t, "the youngest in main", w.table.policy.main.head, entries[5])
	w.check()
}
