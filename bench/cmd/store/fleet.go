package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/internal/localserver"
)

// shops is the number of processes of a contender.
const shops = 4

// A fleet is the processes of one contender and their Redis.
type fleet struct {
	dir   string
	start Start
	redis *localserver.RedisServer
	shops [shops]*child.Process
}

// open starts a Redis and the processes, and warms them.
func open(ctx context.Context, dir string, start Start) (*fleet, error) {
	f := &fleet{dir: dir, start: start}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if f.redis, err = localserver.StartRedis(ctx, dir); err != nil {
		return nil, err
	}
	f.start.Redis = f.redis.Addr()
	for i := range f.shops {
		if err := f.again(i); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

// again starts a shop. The first one is the one that is killed.
func (f *fleet) again(i int) (err error) {
	name := fmt.Sprint(i)
	if f.shops[i], err = child.Start(f.dir, "shop", name); err != nil {
		return err
	}
	start := f.start
	start.Holds = i == 0
	if err := f.shops[i].Ask("Begin", start, &Nothing{}); err != nil {
		return err
	}
	return f.shops[i].Ask("Warm", name, &Nothing{})
}

// close ends all processes. Nobody needs what they have.
func (f *fleet) close() {
	for _, p := range f.shops {
		if p != nil {
			p.Kill()
		}
	}
	f.redis.Kill()
}

// burstLead is the time from the order to the instant.
const burstLead = 50 * time.Millisecond

// settling is how long is waited until nothing goes on behind the callers' backs.
const settling = 100 * time.Millisecond

// A ran is what came of a burst at all shops.
type ran struct {
	Burned
	commands map[string]int64 // at Redis, while it lasted
}

// burst lets callers ask, in equal parts at the shops from first on, and counts
// what that costs Redis.
func (f *fleet) burst(ctx context.Context, first int, burst Burst) (ran, error) {
	time.Sleep(settling)
	before, err := f.redis.Commands(ctx)
	if err != nil {
		return ran{}, err
	}
	burst.At = time.Now().Add(burstLead)
	burst.Of = shops - first
	seen := make([]Burned, burst.Of)
	errs := make([]error, burst.Of)
	var all sync.WaitGroup
	for i := range seen {
		part := burst
		part.Index = i
		all.Go(func() { errs[i] = f.shops[first+i].Ask("Burst", part, &seen[i]) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return ran{}, err
	}
	time.Sleep(settling)
	after, err := f.redis.Commands(ctx)
	r := ran{commands: difference(after, before)}
	for _, s := range seen {
		r.Values = append(r.Values, s.Values...)
		r.Errors = append(r.Errors, s.Errors...)
		r.Late += s.Late
		r.Begun = append(r.Begun, s.Begun...)
		r.Error = cmp.Or(r.Error, s.Error)
	}
	slices.Sort(r.Values)
	slices.Sort(r.Errors)
	return r, err
}

// difference is what one count has beyond another.
func difference(after, before map[string]int64) map[string]int64 {
	rest := make(map[string]int64)
	for name, n := range after {
		if n > before[name] {
			rest[name] = n - before[name]
		}
	}
	return rest
}

// listed are commands with their numbers, those most often first.
func listed(commands map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(commands), func(one, other string) int {
		if c := int(commands[other] - commands[one]); c != 0 {
			return c
		}
		return strings.Compare(one, other)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, commands[name])
	}
	return strings.Join(names, ", ")
}

func total(commands map[string]int64) (sum int64) {
	for _, n := range commands {
		sum += n
	}
	return sum
}
