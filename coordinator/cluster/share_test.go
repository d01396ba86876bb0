package cluster

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
)

// Nodes load as fast as they may while one joins and another leaves: in every
// span of time all of them together begin no more loads than the rate gives in
// it, the burst, one for each node, and what begins late.
func TestARateIsKeptByAllNodesTogetherWhileOneJoinsAndAnotherLeaves(t *testing.T) {
	const (
		perSecond, burst = 200, 20
		phase            = 1500 * time.Millisecond
		late             = 500 * time.Millisecond // of a goroutine that found no processor, or of a node that hears of a change
	)
	endpoint := startEtcd(t)
	began := time.Now()
	var mu sync.Mutex
	var loads []time.Duration
	var key atomic.Int64
	hammer := func(n *Node) (stop func()) {
		c, err := corral.New(corral.LoaderFunc[[]byte](func(context.Context, string, *corral.Item[[]byte]) (corral.Item[[]byte], error) {
			mu.Lock()
			defer mu.Unlock()
			loads = append(loads, time.Since(began))
			return corral.Item[[]byte]{Value: []byte("v")}, nil
		}), corral.Options[[]byte]{
			Name: "test", TTL: time.Hour, Jitter: -1, MaxBytes: 1 << 20, Codec: codec.Bytes{}, Coordinator: n.Cache("test"),
			LoadsPerSecond: perSecond, Burst: burst,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Get(ctx, fmt.Sprint(key.Add(1))); err != nil && ctx.Err() == nil {
						pause(ctx, 10*time.Millisecond) // keys move
					}
				}
			})
		}
		return func() {
			cancel()
			callers.Wait()
			c.Close()
		}
	}
	var nodes []*Node
	var stops []func()
	for i := range 3 {
		n := join(t, endpoint, string(rune('a'+i)), nil)
		nodes, stops = append(nodes, n), append(stops, hammer(n))
	}
	shares := func(want float64) {
		t.Helper()
		for _, n := range nodes {
			for until := time.Now().Add(soon); n.Share() != want; time.Sleep(time.Millisecond) {
				if time.Now().After(until) {
					t.Fatalf("node %s has a share of %v, want %v", n.config.Name, n.Share(), want)
				}
			}
		}
	}
	shares(1. / 3)
	time.Sleep(phase)
	n := join(t, endpoint, "d", nil)
	if n.Share() != 0.25 {
		t.Errorf("a node that has just joined three has a share of %v, want a quarter", n.Share())
	}
	nodes, stops = append(nodes, n), append(stops, hammer(n))
	shares(0.25)
	time.Sleep(phase)
	stops[2]()
	nodes[2].Close()
	nodes, stops = slices.Delete(nodes, 2, 3), slices.Delete(stops, 2, 3)
	shares(1. / 3)
	time.Sleep(phase)
	for _, stop := range stops {
		stop()
	}
	slices.Sort(loads)
	least, worst := math.Inf(1), 0.0
	for i, at := range loads {
		beyond := float64(i) - perSecond*at.Seconds()
		least = min(least, beyond)
		worst = max(worst, beyond+1-least)
	}
	span := loads[len(loads)-1] - loads[0]
	t.Logf("%d loads in %v; at most %.1f more than the rate gives in any span", len(loads), span, worst)
	if most := burst + 4 + 4 + perSecond*late.Seconds(); worst > most {
		t.Errorf("in some span there were %.1f loads more than %d/s, want at most %.0f", worst, perSecond, most)
	}
	if few := perSecond * span.Seconds() / 2; float64(len(loads)) < few {
		t.Errorf("%d loads in %v, want at least %.0f: the shares are used", len(loads), span, few)
	}
}
