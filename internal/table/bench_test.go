package table

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// zipfKeys returns draws from n keys, the i-th with a probability in proportion
// to 1/(i+1)^s, as indices.
func zipfKeys(n, draws int, s float64) []int32 {
	r := rand.New(rand.NewPCG(1, 2))
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	drawn := make([]int32, draws)
	for i := range drawn {
		u := r.Float64() * sum
		low, high := 0, n-1
		for low < high {
			if mid := (low + high) / 2; sums[mid] < u {
				low = mid + 1
			} else {
				high = mid
			}
		}
		drawn[i] = int32(low)
	}
	return drawn
}

func keysTo(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(i)
	}
	return keys
}

// plain returns a table whose owner keeps no books.
func plain(maxBytes int64) *Table[thing] {
	return New(Config[thing]{
		MaxBytes: maxBytes,
		Node:     func(e *thing) *Node[thing] { return &e.node },
		Evict:    func(*thing) {},
	})
}

func BenchmarkHit(b *testing.B) {
	const n = 100_000
	t := plain(math.MaxInt64)
	keys, draws := keysTo(n), zipfKeys(n, 1<<20, 1.01)
	published := func() {}
	for _, k := range keys {
		e, _ := t.GetOrAdd(k, func() *thing { return new(thing) })
		t.Put(e, Put{Weight: 1, Unpin: true, Publish: published})
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(draws)); pb.Next(); i++ {
			t.Get(keys[draws[i&(len(draws)-1)]]).node.Touch()
		}
	})
}

// BenchmarkMiss replaces one of 100,000 values by a new one at every turn.
func BenchmarkMiss(b *testing.B) {
	t := plain(100_000)
	keys := keysTo(1_000_000)
	published := func() {}
	miss := func(i int) {
		e, _ := t.GetOrAdd(keys[i%len(keys)], func() *thing { return new(thing) })
		t.Put(e, Put{Weight: 1, Unpin: true, Publish: published})
	}
	for i := range keys {
		miss(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		miss(i)
	}
}

// BenchmarkOverhead reports what the table costs for each of a million entries
// that have been through eviction, in bytes: index, node and ghosts, without
// the key and without what is the owner's.
func BenchmarkOverhead(b *testing.B) {
	const n = 1_000_000
	const owners = 32 // so that node and owner together fill a size class, as in the cache
	type entry struct {
		node Node[entry]
		_    [owners]byte
	}
	keys := keysTo(2 * n)
	for range b.N {
		before := heap()
		t := New(Config[entry]{
			MaxBytes: n,
			Node:     func(e *entry) *Node[entry] { return &e.node },
			Evict:    func(*entry) {},
		})
		for _, k := range keys {
			e, _ := t.GetOrAdd(k, func() *entry { return new(entry) })
			t.Put(e, Put{Weight: 1, Unpin: true, Publish: func() {}})
		}
		b.ReportMetric(float64(heap()-before)/n-owners, "B/entry")
		runtime.KeepAlive(t)
	}
	runtime.KeepAlive(keys)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
