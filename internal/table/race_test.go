package table

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestManyWritersNeverExceedTheBytesNorLoseAnEntry(t *testing.T) {
	const workers, rounds, keys = 8, 20_000, 200
	w := newWorld(t, 1000)
	w.evictLog = false
	var wg sync.WaitGroup
	for id := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(id)))
			for range rounds {
				w.step(r, key(r.IntN(keys)))
			}
		})
	}
	wg.Wait()
	for e := range w.table.All() {
		w.table.Unpin(e)
	}
	w.check()
	is(t, "Reserved()", w.table.Reserved(), 0)
	for e := range w.table.All() {
		w.drop(e)
	}
	w.check()
	is(t, "Len()", w.table.Len(), 0)
	is(t, "Bytes()", w.table.Bytes(), 0)
}

// step does what one caller of a cache does: hit, or load and keep, drop,
// refresh, or stream a body that grows.
func (w *world) step(r *rand.Rand, key string) {
	t := w.table
	if e := t.Get(key); e != nil {
		e.node.Touch()
		if r.IntN(4) > 0 {
			return
		}
	}
	e, added := w.add(key)
	if e.node.Key() != key {
		w.Errorf("GetOrAdd(%q) gave the entry of %q", key, e.node.Key())
	}
	weight := 1 + r.Int64N(60)
	if r.IntN(50) == 0 {
		weight = 1 + r.Int64N(1200)
	}
	switch r.IntN(5) {
	case 0:
		if t.Reserve(weight) {
			t.Put(e, Put{Weight: weight, Release: weight, Unpin: added, Publish: func() { w.publish(e, weight) }})
		} else if added {
			t.Unpin(e)
		}
	case 1:
		if t.Pin(e) {
			w.put(e, weight, false)
			w.put(e, weight/2+1, false)
			t.Update(e, func() {
				if t.Get(key) != e {
					w.Errorf("T5: %q is alive and not in the index", key)
				}
			})
			t.Unpin(e)
		}
	case 2:
		w.drop(e)
		if added {
			t.Unpin(e)
		}
	default:
		w.put(e, weight, added)
	}
}

func TestOfManyWhoAddAKeyOneDoes(t *testing.T) {
	const workers, keys = 8, 2_000
	w := newWorld(t, 1000)
	var wg sync.WaitGroup
	var added [workers][keys]*thing
	var found [workers][keys]*thing
	for id := range workers {
		wg.Go(func() {
			for i := range keys {
				e, isNew := w.add(key(i))
				found[id][i] = e
				if isNew {
					added[id][i] = e
				}
			}
		})
	}
	wg.Wait()
	for i := range keys {
		n := 0
		for id := range workers {
			if added[id][i] != nil {
				n++
			}
			if found[id][i] != found[0][i] {
				t.Fatalf("GetOrAdd(%q) gave two entries", key(i))
			}
		}
		if n != 1 {
			t.Fatalf("GetOrAdd(%q) added %d entries, want 1", key(i), n)
		}
	}
	w.check()
}

func TestTheBoundHoldsWhereEveryValueIsAsLargeAsTheTable(t *testing.T) {
	const workers, rounds = 8, 3_000
	w := newWorld(t, 100)
	w.evictLog = false
	var wg sync.WaitGroup
	for id := range workers {
		wg.Go(func() {
			for i := range rounds {
				e, _ := w.add(key(id*rounds + i))
				if !w.put(e, 60+int64(i%41), true) {
					t.Errorf("Put() of a value that fits alone = false")
				}
			}
		})
	}
	wg.Wait()
	w.check()
	is(t, "Len()", w.table.Len(), 1)
	is(t, "Evicted()", w.table.Evicted(), workers*rounds-1)
}
