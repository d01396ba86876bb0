package table

import (
	"math"
	"testing"
	"unsafe"
)

// is reports a call whose answer is not the one expected.
func is[T comparable](t testing.TB, call string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}

func TestALoadingEntryIsInTheIndexWithoutWeightUntilItsPinEnds(t *testing.T) {
	w := newWorld(t, 10)
	e, added := w.add("a")
	is(t, "GetOrAdd(a), added", added, true)
	is(t, "Get(a)", w.table.Get("a"), e)
	is(t, "Key()", e.node.Key(), "a")
	is(t, "Weight()", e.node.Weight(), 0)
	is(t, "Bytes()", w.table.Bytes(), 0)
	w.check()

	again, added := w.add("a")
	is(t, "GetOrAdd(a) again, added", added, false)
	is(t, "GetOrAdd(a) again", again, e)

	w.table.Unpin(e)
	is(t, "Get(a) after Unpin", w.table.Get("a"), nil)
	is(t, "Len() after Unpin", w.table.Len(), 0)
	w.check()
}

func TestAPutMakesAnEntryAppearInTheBytes(t *testing.T) {
	w := newWorld(t, 10)
	e := w.keep("a", 4)
	is(t, "Weight()", e.node.Weight(), 4)
	is(t, "Bytes()", w.table.Bytes(), 4)
	is(t, "Len()", w.table.Len(), 1)
	w.check()
	is(t, "Put(a, 7)", w.put(e, 7, false), true)
	is(t, "Bytes() after it grew", w.table.Bytes(), 7)
	w.check()
	is(t, "Put(a, 2)", w.put(e, 2, false), true)
	is(t, "Bytes() after it shrank", w.table.Bytes(), 2)
	w.check()
	is(t, "evictions", len(w.evicted), 0)
}

func TestAWeightBelowOneCountsAsOne(t *testing.T) {
	for _, weight := range []int64{math.MinInt64, -1, 0} {
		w := newWorld(t, 10)
		e, _ := w.add("a")
		w.table.Put(e, Put{Weight: weight, Unpin: true, Publish: func() { w.publish(e, 1) }})
		is(t, "Bytes()", w.table.Bytes(), 1)
		w.check()
	}
}

func TestAValueThatCannotFitIsRefusedAndTheOldOneStays(t *testing.T) {
	for _, c := range []struct {
		name             string
		reserve, weight  int64
		release          int64
		want             bool
		bytes, remaining int64
	}{
		{"exactly the bound", 0, 10, 0, true, 10, 0},
		{"one byte over", 0, 11, 0, false, 3, 0},
		{"the largest weight there is", 0, math.MaxInt64, 0, false, 3, 0},
		{"exactly what is not reserved", 4, 6, 0, true, 6, 4},
		{"one byte into what is reserved", 4, 7, 0, false, 3, 4},
		{"fits thanks to what it releases", 4, 9, 3, true, 9, 1},
		{"does not fit and releases all the same", 4, 11, 3, false, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 10)
			e := w.keep("a", 3)
			is(t, "Reserve", w.table.Reserve(c.reserve), true)
			got := w.table.Put(e, Put{Weight: c.weight, Release: c.release, Publish: func() { w.publish(e, c.weight) }})
			is(t, "Put", got, c.want)
			is(t, "Bytes()", w.table.Bytes(), c.bytes)
			is(t, "Reserved()", w.table.Reserved(), c.remaining)
			is(t, "Get(a)", w.table.Get("a"), e)
			w.check()
		})
	}
}

func TestARefusedFirstValueWithUnpinEndsTheEntry(t *testing.T) {
	w := newWorld(t, 10)
	e, _ := w.add("a")
	is(t, "Put(a, 11)", w.put(e, 11, true), false)
	is(t, "Get(a)", w.table.Get("a"), nil)
	is(t, "Pin(a)", w.table.Pin(e), false)
	w.check()
}

func TestRoomIsMadeByTheValuesOfOthers(t *testing.T) {
	w := newWorld(t, 10)
	a, b := w.keep("a", 4), w.keep("b", 4)
	is(t, "Put(b, 10)", w.put(b, 10, false), true)
	is(t, "Bytes()", w.table.Bytes(), 10)
	is(t, "Get(a)", w.table.Get("a"), nil)
	is(t, "Get(b)", w.table.Get("b"), b)
	is(t, "evicted", len(w.evicted) == 1 && w.evicted[0] == a, true)
	is(t, "Evicted()", w.table.Evicted(), 1)
	w.check()
}

func TestAPinnedEntryLosesItsValueAndStays(t *testing.T) {
	w := newWorld(t, 10)
	a := w.keep("a", 4)
	is(t, "Pin(a)", w.table.Pin(a), true)
	w.keep("b", 10)
	is(t, "Get(a)", w.table.Get("a"), a)
	is(t, "a's value", a.value, 0)
	is(t, "a's weight", a.node.Weight(), 0)
	is(t, "Put(a, 5)", w.put(a, 5, true), true)
	is(t, "Get(b)", w.table.Get("b"), nil)
	w.check()
}

func TestDropClearsAndBuriesUnlessPinned(t *testing.T) {
	w := newWorld(t, 10)
	a := w.keep("a", 4)
	w.table.Pin(a)
	is(t, "Drop(a), pinned", w.drop(a), true)
	is(t, "Get(a)", w.table.Get("a"), a)
	is(t, "Bytes()", w.table.Bytes(), 0)
	w.check()
	w.put(a, 4, true)
	is(t, "Drop(a), not pinned", w.drop(a), true)
	is(t, "Get(a)", w.table.Get("a"), nil)
	is(t, "evictions", len(w.evicted), 0)
	w.check()
}

func TestADeadEntrySaysSoAndNeverComesBack(t *testing.T) {
	w := newWorld(t, 10)
	ways := map[string]func(e *thing){
		"eviction":    func(e *thing) { w.keep("other", 10) },
		"Drop":        func(e *thing) { w.drop(e) },
		"Unpin":       func(e *thing) { w.table.Pin(e); w.drop(e); w.table.Unpin(e) },
		"a vain load": func(e *thing) { w.table.Pin(e); w.drop(e); w.put(e, 11, true) },
	}
	for way, die := range ways {
		t.Run(way, func(t *testing.T) {
			e := w.keep("a", 1)
			die(e)
			no := func() { t.Errorf("%s: called out for a dead entry", way) }
			is(t, "Get(a)", w.table.Get("a"), nil)
			is(t, "Pin", w.table.Pin(e), false)
			is(t, "Update", w.table.Update(e, no), false)
			is(t, "Drop", w.table.Drop(e, no), false)
			is(t, "Put", w.table.Put(e, Put{Weight: 1, Publish: no}), false)
			w.table.Unpin(e)
			next, added := w.add("a")
			is(t, "GetOrAdd(a), added", added, true)
			is(t, "the same entry", next == e, false)
			w.table.Unpin(e)
			is(t, "Get(a)", w.table.Get("a"), next)
			w.table.Unpin(next)
			w.check()
		})
	}
}

func TestReservationsTakeTheRoomOfValues(t *testing.T) {
	w := newWorld(t, 10)
	w.keep("a", 4)
	w.keep("b", 4)
	is(t, "Reserve(2)", w.table.Reserve(2), true)
	is(t, "Bytes()", w.table.Bytes(), 8)
	is(t, "Reserve(1)", w.table.Reserve(1), true)
	is(t, "Bytes()", w.table.Bytes(), 4)
	is(t, "Reserve(8)", w.table.Reserve(8), false)
	is(t, "Reserve(7)", w.table.Reserve(7), true)
	is(t, "Bytes()", w.table.Bytes(), 0)
	is(t, "Reserved()", w.table.Reserved(), 10)
	is(t, "Reserve(MaxInt64)", w.table.Reserve(math.MaxInt64), false)
	w.check()
	w.table.Release(10)
	is(t, "Reserved()", w.table.Reserved(), 0)
	w.check()
}

func TestReleasingMoreThanIsReservedPanics(t *testing.T) {
	w := newWorld(t, 10)
	w.table.Reserve(3)
	defer func() {
		is(t, "panicked", recover() != nil, true)
		is(t, "Reserved()", w.table.Reserved(), 3)
		w.keep("a", 1) // the lock is free
	}()
	w.table.Release(4)
}

func TestATableWithoutABoundEvictsNothing(t *testing.T) {
	w := newWorld(t, math.MaxInt64)
	for i := range 1000 {
		w.keep(key(i), 1<<40)
	}
	is(t, "Evicted()", w.table.Evicted(), 0)
	w.check()
}

func TestUpdateRunsUnderTheLockAndKeepsTheWeight(t *testing.T) {
	w := newWorld(t, 10)
	e := w.keep("a", 4)
	ran := false
	is(t, "Update", w.table.Update(e, func() { ran = !w.table.mu.TryLock() }), true)
	is(t, "ran under the lock", ran, true)
	is(t, "Bytes()", w.table.Bytes(), 4)
}

func TestATableNeedsABound(t *testing.T) {
	defer func() { is(t, "panicked", recover() != nil, true) }()
	newWorld(t, 0)
}

func TestGetAndTouchDoNotAllocate(t *testing.T) {
	w := newWorld(t, 10)
	w.keep("a", 1)
	is(t, "allocations", testing.AllocsPerRun(1000, func() { w.table.Get("a").node.Touch() }), 0)
}

func TestTouchStopsWritingWhenTheCounterIsFull(t *testing.T) {
	var n Node[thing]
	for range 100 {
		n.Touch()
	}
	is(t, "freq", n.freq.Load(), maxFreq)
}

func TestReadersDoNotWaitForTheLock(t *testing.T) {
	w := newWorld(t, 10)
	e := w.keep("a", 4)
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	is(t, "Get(a)", w.table.Get("a"), e)
	e.node.Touch()
	seen := 0
	for range w.table.All() {
		seen++
	}
	is(t, "entries in All()", seen, 1)
	is(t, "Len()", w.table.Len(), 1)
	is(t, "Bytes()", w.table.Bytes(), 4)
	is(t, "Reserved()", w.table.Reserved(), 0)
	is(t, "Evicted()", w.table.Evicted(), 0)
}

func TestANodeIsSmall(t *testing.T) {
	is(t, "Sizeof(Node)", unsafe.Sizeof(Node[thing]{}), 48)
}

func TestPutDoesNotAllocate(t *testing.T) {
	w := newWorld(t, 10)
	e := w.keep("a", 1)
	publish := func() {}
	is(t, "allocations", testing.AllocsPerRun(1000, func() {
		w.table.Put(e, Put{Weight: 1, Publish: publish})
	}), 0)
}

func TestAllStopsWhenItsReaderDoes(t *testing.T) {
	w := newWorld(t, 10)
	w.keep("a", 1)
	w.keep("b", 1)
	seen := 0
	for range w.table.All() {
		seen++
		break
	}
	is(t, "entries", seen, 1)
}
