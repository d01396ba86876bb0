package redislock

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// An origin has a number for each key, which only rises, and is what its loads
// give. What is acknowledged is what no later answer may lie below.
type origin struct {
	truth, acknowledged [4]atomic.Int64
	t                   *testing.T
}

func (o *origin) load(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
	i, _ := strconv.Atoi(key)
	value := o.truth[i].Load()
	time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
	switch rand.IntN(20) {
	case 0:
		return corral.Item[string]{}, corral.RetryAfter(fmt.Errorf("broken at random"), time.Duration(rand.IntN(3))*time.Millisecond)
	case 1:
		return corral.Item[string]{Value: fmt.Sprint(value), Outcome: corral.Share}, nil
	case 2:
		return corral.Item[string]{Value: fmt.Sprint(value), Outcome: corral.Pass}, nil
	}
	return corral.Item[string]{Value: fmt.Sprint(value), Tags: []string{"tag" + key}, TTL: time.Duration(1+rand.IntN(50)) * time.Millisecond, StaleFor: time.Duration(rand.IntN(50)) * time.Millisecond}, nil
}

// change raises the number of a key and invalidates it.
func (o *origin) change(ctx context.Context, c *corral.Cache[string], i int) {
	next := o.truth[i].Add(1)
	key := strconv.Itoa(i)
	target := corral.Target{Keys: []string{key}}
	switch rand.IntN(8) {
	case 0, 1:
		target = corral.Target{Tags: []string{"tag" + key}, Keys: []string{key}}
	case 2:
		target = corral.Target{Prefixes: []string{key}}
	case 3:
		target = corral.Target{All: true}
	}
	if err := c.Purge(ctx, target); err == nil {
		for old := o.acknowledged[i].Load(); next > old && !o.acknowledged[i].CompareAndSwap(old, next); old = o.acknowledged[i].Load() {
		}
	}
}

// The rule, at random: whoever asks after an invalidation was acknowledged is
// given nothing from before, whatever else goes on, and every call comes back.
func TestNothingFromBeforeAnAcknowledgedInvalidationIsGiven(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		hurt func(t *testing.T, server *localserver.RedisServer, network *relay)
	}{
		{"in peace", nil},
		{"with connections cut", func(_ *testing.T, _ *localserver.RedisServer, network *relay) { network.cut(false) }},
		{"with data lost", func(t *testing.T, server *localserver.RedisServer, _ *relay) { server.Do(t.Context(), "FLUSHALL") }},
		{"with scripts forgotten", func(t *testing.T, server *localserver.RedisServer, _ *relay) {
			server.Do(t.Context(), "SCRIPT", "FLUSH")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := localserver.Redis(t)
			network := startRelay(t, server.Addr())
			o := &origin{t: t}
			var caches []*corral.Cache[string]
			for i := range 4 {
				conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
				if i < 2 {
					conf.Redis.Addresses = []string{network.listener.Addr().String()}
				}
				caches = append(caches, cache(t, open(t, conf), o.load))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() { o.ask(ctx, caches[i%len(caches)], i%2 == 0) })
			}
			if row.hurt != nil {
				all.Go(func() {
					for ctx.Err() == nil {
						time.Sleep(time.Duration(300+rand.IntN(500)) * time.Millisecond)
						row.hurt(t, server, network)
					}
				})
			}
			all.Wait()
			for i := range o.truth {
				t.Logf("key %d: %d changes, %d the newest acknowledged", i, o.truth[i].Load(), o.acknowledged[i].Load())
			}
		})
	}
}

// ask asks, and sometimes changes what is asked for.
func (o *origin) ask(ctx context.Context, c *corral.Cache[string], changes bool) {
	for ctx.Err() == nil {
		i := rand.IntN(len(o.truth))
		if changes && rand.IntN(20) == 0 {
			o.change(ctx, c, i)
			continue
		}
		floor := o.acknowledged[i].Load()
		got, err := c.Get(ctx, strconv.Itoa(i))
		if err != nil {
			continue
		}
		if n, _ := strconv.ParseInt(got, 10, 64); n < floor {
			o.t.Errorf("key %d: got %d, and the invalidation of what was before %d had been acknowledged", i, n, floor)
			return
		}
	}
}

// At any moment at most one lease of a key is neither ended nor void: with
// invalidations apart, which detach one.
func TestAKeyHasOneLeaseAtATime(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	var holders, leases atomic.Int32
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var processes []*Coordinator
	for range 4 {
		c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease})
		processes = append(processes, c)
		for range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					r := request("a")
					r.Fresh = rand.IntN(2) == 0
					within, leave := ctx, context.CancelFunc(func() {})
					if rand.IntN(4) == 0 {
						within, leave = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
					}
					answer, err := c.Join(within, r)
					leave()
					if err != nil || answer.Kind != corral.AnswerLease {
						continue
					}
					if n := holders.Add(1); n > 1 {
						t.Errorf("%d hold the key", n)
					}
					leases.Add(1)
					time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
					holders.Add(-1)
					switch rand.IntN(4) {
					case 0:
						answer.Lease.Abandon(t.Context())
					case 1:
						answer.Lease.Fail(t.Context(), fmt.Errorf("at random"), 0)
					default:
						v := value("v")
						v.TTL = time.Millisecond
						answer.Lease.Fill(t.Context(), v)
					}
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d leases", leases.Load())
	for _, c := range processes {
		if s := c.Stats(); s.Polls > 0 || s.Errors > 0 {
			t.Errorf("a process waited until a lease's end for what it was not told, or failed: %+v", s)
		}
	}
}
