package corral

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// register is a source of truth whose versions only grow: what a load reads at
// its start, or later, is its value.
type register struct{ versions [8]atomic.Int64 }

func (r *register) Load(_ context.Context, key string, _ *Item[int64]) (Item[int64], error) {
	n := int(key[0] - '0')
	v := r.versions[n].Load()
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	item := Item[int64]{Value: v, Tags: []string{fmt.Sprint("tag", n%2)}}
	switch rand.IntN(12) {
	case 0:
		return item, errSource
	case 1:
		item.Outcome = Share
	case 2:
		item.Outcome = Pass
	case 3:
		panic("boom")
	case 4:
		item.Outcome = Validate
	}
	if rand.IntN(2) == 0 {
		item.PassTTL = time.Millisecond
	}
	return item, nil
}

// No Get that begins after an invalidation was acknowledged is given a value
// whose load began before it (C1, on one machine), whatever the loads come to.
func TestNoGetAfterAnAcknowledgedInvalidationIsGivenAnOlderValue(t *testing.T) {
	const goroutines, rounds = 8, 3000
	r := &register{}
	c, err := New[int64](r, Options[int64]{TTL: time.Hour, MaxBytes: 3 * (entryBytes + moreBytes + 64), ErrorPause: -1, PassTTL: -1, StaleFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged [8]atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				n := rand.IntN(8)
				key := fmt.Sprint(n)
				if rand.IntN(4) > 0 {
					atLeast := acknowledged[n].Load()
					got, err := c.Get(t.Context(), key)
					if err == nil && got < atLeast {
						t.Errorf("key %s: got version %d after %d was acknowledged", key, got, atLeast)
					}
					continue
				}
				v := r.versions[n].Add(1)
				var err error
				switch rand.IntN(4) {
				case 0:
					err = c.Invalidate(t.Context(), key)
				case 1:
					err = c.InvalidateTags(t.Context(), fmt.Sprint("tag", n%2))
				case 2:
					err = c.InvalidateAll(t.Context())
				case 3:
					err = c.InvalidatePrefixes(t.Context(), key)
				}
				if err != nil {
					t.Error(err)
				}
				raiseTo(&acknowledged[n], v)
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func raiseTo(n *atomic.Int64, v int64) {
	for old := n.Load(); old < v && !n.CompareAndSwap(old, v); old = n.Load() {
	}
}

// At every moment and in the end what is counted is what is there, and never
// more than MaxBytes.
func TestBytesAreExactUnderABurstOfWriters(t *testing.T) {
	const limit = 64 << 10
	load := LoaderFunc[string](func(_ context.Context, key string, _ *Item[string]) (Item[string], error) {
		if rand.IntN(10) == 0 {
			return Item[string]{}, errors.New("no")
		}
		item := Item[string]{Value: strings.Repeat("x", rand.IntN(4000))}
		if rand.IntN(10) == 0 {
			item.Outcome = Validate
		}
		return item, nil
	})
	c, err := New[string](load, Options[string]{TTL: time.Hour, MaxBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var watch, wg sync.WaitGroup
	watch.Go(func() {
		for {
			if s := c.Stats(); s.Bytes+s.BytesInFlight > limit {
				// Two gauges read one after another may be from two instants.
				if live := liveBytes(c); live > limit {
					t.Errorf("%d bytes are live, the limit is %d", live, limit)
				}
			}
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for range 8 {
		wg.Go(func() {
			for range 3000 {
				key := fmt.Sprint("key", rand.IntN(500))
				switch rand.IntN(10) {
				case 0:
					c.Set(t.Context(), key, Item[string]{Value: strings.Repeat("y", rand.IntN(4000))})
				case 1:
					c.Invalidate(t.Context(), key)
				default:
					c.Get(t.Context(), key)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	if live, s := liveBytes(c), c.Stats(); live != s.Bytes || s.BytesInFlight != 0 || s.Evictions == 0 {
		t.Fatalf("%d bytes are live, %d are counted, %d in flight, %d evictions", live, s.Bytes, s.BytesInFlight, s.Evictions)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Bytes != 0 || s.Entries != 0 {
		t.Fatalf("left behind: %+v", s)
	}
}

// liveBytes adds up what can be read, in one instant: under the table's lock.
func liveBytes(c *Cache[string]) int64 {
	var total int64
	c.table.Update(new(entry[string]), func() {
		for e := range c.table.All() {
			if r := e.value.Load(); r != nil {
				total += c.overhead(e.node.Key()) + int64(len(r.value))
			} else if m := e.mark.Load(); m != nil {
				total += c.overhead(e.node.Key()) + markBytes
				if m.kept != nil {
					total += moreBytes + int64(len(m.kept.value))
				}
			}
		}
	})
	return total
}

// A key whose callers come and go, whose loads end in every way and whose
// value is evicted, set, expired and invalidated never wedges.
func TestNoKeyIsEverWedged(t *testing.T) {
	load := LoaderFunc[string](func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
		for range rand.IntN(30) {
			runtime.Gosched()
		}
		switch rand.IntN(8) {
		case 0:
			panic("boom")
		case 1:
			runtime.Goexit()
		case 2:
			return Item[string]{}, errSource
		case 3:
			return Item[string]{Outcome: Pass}, nil
		case 4:
			if prev != nil {
				return prev.NotModified(), nil
			}
		case 5:
			<-ctx.Done()
		case 6:
			return Item[string]{Value: key, Outcome: Validate}, nil
		}
		return Item[string]{Value: key, TTL: -1}, nil
	})
	c, err := New[string](load, Options[string]{TTL: time.Hour, MaxBytes: 5 * 1024, LoadTimeout: 20 * time.Millisecond,
		ErrorPause: -1, MaxZombies: 1000, StaleFor: time.Hour, Retries: 1, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 300 {
				key := fmt.Sprint(rand.IntN(10))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(5))*time.Millisecond)
				switch rand.IntN(12) {
				case 0:
					c.Set(ctx, key, Item[string]{Value: "set"})
				case 1:
					c.Invalidate(ctx, key)
				case 2:
					c.Expire(ctx, key)
				case 3:
					c.GetMany(ctx, []string{key, "0", "1", "2"})
				case 4:
					c.GetItem(ctx, key, Fresh())
				case 5:
					c.Peek(key)
				case 6:
					c.Purge(ctx, Target{Prefixes: []string{key}, Tags: []string{"x"}, Soft: true})
				default:
					c.Get(ctx, key)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for i := range 10 {
		for { // every key still answers by its deadline, and in the end with a value
			start := time.Now()
			_, err := c.Get(t.Context(), fmt.Sprint(i))
			if took := time.Since(start); took > 10*time.Second {
				t.Fatalf("key %d answered after %v", i, took)
			}
			if err == nil {
				break
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Waiters != 0 || s.Running != 0 || s.Zombies != 0 || s.Bytes != 0 {
		t.Fatalf("left behind: %+v", s)
	}
}
