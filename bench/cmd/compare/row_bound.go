package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
)

const (
	writers      = 8
	boundEntries = 1024
	boundValue   = 1024
)

// A gate lets a checker stand all writers still between two of their steps.
type gate struct{ sync.RWMutex }

func (g *gate) pass(step func() error) error {
	g.RLock()
	defer g.RUnlock()
	return step()
}

// burst makes the writers write a number of keys, and calls check about every
// half millisecond with everybody at rest whose steps pass the gate.
func (g *gate) burst(total int, write func(i int) error, check func()) error {
	var next atomic.Int64
	done, checked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(checked)
		for {
			select {
			case <-done:
				return
			case <-time.After(500 * time.Microsecond):
				g.Lock()
				check()
				g.Unlock()
			}
		}
	}()
	err := inParallel(writers, func(int) error {
		for i := next.Add(1) - 1; i < int64(total); i = next.Add(1) - 1 {
			if err := write(int(i)); err != nil {
				return err
			}
		}
		return nil
	})
	close(done)
	<-checked
	return err
}

func measureBound(ctx context.Context, quick bool) (section, error) {
	total := 400_000
	if quick {
		total = 40_000
	}
	s := section{
		title: "The limit, under a burst of writers",
		how: []string{
			fmt.Sprintf("%d goroutines load %d keys into a cache for %d entries of %d B. About every half millisecond a checker waits until each of their Gets has returned, lets none begin, and counts the live values one by one.", writers, total, boundEntries, boundValue),
			"Sturdyc frees a tenth of a shard when the shard is full. Otter and theine evict later, by design; Ristretto drops writes that it has no time for.",
		},
		columns: []string{"", "limit", "most live values", "over the limit", "a moment later"},
	}
	value := make([]byte, boundValue)
	var broken error
	for _, c := range with(boundsCount, coarseClock) {
		opened, err := c.open(setup{entries: boundEntries, keyLen: keyLen, valueLen: boundValue,
			load: func(context.Context, string) ([]byte, error) { return value, nil }})
		if err != nil {
			return s, err
		}
		most := 0
		var g gate
		write := func(i int) error {
			return g.pass(func() error { _, err := opened.Get(ctx, keyOf(i)); return err })
		}
		err = g.burst(total, write, func() { most = max(most, opened.Len()) })
		if err != nil {
			return s, err
		}
		opened.Settle()
		over := max(0, most-boundEntries)
		s.line(c.name, fmt.Sprint(boundEntries), fmt.Sprint(most), fmt.Sprint(over), fmt.Sprint(max(0, opened.Len()-boundEntries)))
		opened.Close()
		if c.name == corralName && over > 0 {
			broken = fmt.Errorf("corral held %d entries in the bytes of %d", most, boundEntries)
		}
	}
	bodies := total / 20
	streamed, err := streamBurst(ctx, bodies)
	if err != nil {
		return s, errors.Join(broken, err)
	}
	s.line("corral, streamed bodies", mebibytes(streamed.limit), mebibytes(streamed.live),
		fmt.Sprint(max(0, streamed.live-streamed.limit), " B"), "")
	s.how = append(s.how, fmt.Sprintf(
		"Last line: %d bodies of up to %d KiB that arrive in pieces, each read by its caller meanwhile; live are the bytes that have arrived for all keys that the cache shows, whole or not. Corral's own count, overhead included, never exceeded %s.",
		bodies, largestBody>>10, mebibytes(streamed.counted)))
	if streamed.live > streamed.limit || streamed.counted > streamed.limit {
		broken = errors.Join(broken, fmt.Errorf("corral, streaming, held %d B and counted %d B, MaxBytes is %d", streamed.live, streamed.counted, streamed.limit))
	}
	s.bar(broken == nil, "0 over the limit, bytes in flight included", "0")
	return s, broken
}

const (
	largestBody = 64 << 10
	piece       = 4 << 10
)

// peaks are the most bytes that were seen in a cache.
type peaks struct{ limit, live, counted int64 }

// streamBurst sends bodies that grow through Corral. The checker stands the
// sources of all bodies still and adds up what has arrived.
func streamBurst(ctx context.Context, total int) (p peaks, err error) {
	p.limit = 1 << 20
	var g gate
	var arrived sync.Map // key → *atomic.Int64
	data := bytes.Repeat([]byte{'b'}, piece)
	loader := corral.LoaderFunc[[]byte](func(_ context.Context, key string, _ *corral.Item[[]byte]) (corral.Item[[]byte], error) {
		n := new(atomic.Int64)
		arrived.Store(key, n)
		return corral.Item[[]byte]{Tail: func(_ context.Context, w io.Writer) error {
			for range 1 + int(key[len(key)-1])%(largestBody/piece) {
				err := g.pass(func() error {
					written, err := w.Write(data)
					n.Add(int64(written))
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		}}, nil
	})
	c, err := corral.New(loader, corral.Options[[]byte]{TTL: ttl, MaxBytes: p.limit})
	if err != nil {
		return p, err
	}
	defer c.Close()

	check := func() {
		time.Sleep(time.Millisecond) // until what the last pieces set off has come to rest
		var live int64
		for key, info := range c.Entries() {
			if n, ok := arrived.Load(key); ok && info.Value {
				live += n.(*atomic.Int64).Load()
			}
		}
		stats := c.Stats()
		p.live, p.counted = max(p.live, live), max(p.counted, stats.Bytes+stats.BytesInFlight)
	}
	return p, g.burst(total, func(i int) error { return readBody(ctx, c, keyOf(i)) }, check)
}

func readBody(ctx context.Context, c *corral.Cache[[]byte], key string) error {
	item, _, err := c.GetItem(ctx, key)
	if err != nil {
		return err
	}
	defer item.Body.Close()
	_, err = io.Copy(io.Discard, item.Body)
	return err
}
