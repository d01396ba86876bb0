package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral/internal/localserver"
)

// A database answers a query once so many have begun, and has the time of the
// first of them in all its lists.
type database struct {
	expected int32
	begun    atomic.Int32
	all      chan struct{} // closed when the expected ones have begun
	list     List
}

func newDatabase(expected int32) *database {
	return &database{expected: expected, all: make(chan struct{}), list: List{Posts: []Post{{ID: 1, Title: "Post no. 1", Likes: 7}}, AsOf: time.Now().UTC()}}
}

func (d *database) query(ctx context.Context) (List, error) {
	if d.begun.Add(1) == d.expected {
		close(d.all)
	}
	select {
	case <-d.all:
		return d.list, nil
	case <-ctx.Done():
		return List{}, ctx.Err()
	}
}

// process is one process of the service.
func process(t *testing.T, redis *localserver.RedisServer, query func(context.Context) (List, error)) *service {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redis.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &service{address: redis.Addr(), redis: client, query: query, ttl: time.Hour}
}

func (l List) equal(other List) bool {
	return l.AsOf.Equal(other.AsOf) && slices.Equal(l.Posts, other.Posts)
}

func TestWhatAListThatIsNotThereCostsTheDatabase(t *testing.T) {
	const processes, callers = 2, 20
	redis := localserver.Redis(t)
	for name, queries := range map[string]int32{
		"cache-aside":            callers,
		"tutorial-lock":          1,
		"xfetch":                 callers,
		"stale-while-revalidate": callers,
		"single-flight":          processes,
		"corral":                 1,
		"corral-stale":           1,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := redis.Do(t.Context(), "FLUSHALL"); err != nil {
				t.Fatal(err)
			}
			db := newDatabase(queries)
			var lists []strategy
			for range processes {
				list, end, err := process(t, redis, db.query).choose(name)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(end)
				lists = append(lists, list)
			}
			var coming sync.WaitGroup
			for i := range callers {
				coming.Go(func() {
					if got, err := lists[i%processes](t.Context()); err != nil || !got.equal(db.list) {
						t.Errorf("%s = %v, %v, want %v", name, got, err, db.list)
					}
				})
			}
			coming.Wait()
			if n := db.begun.Load(); n != queries {
				t.Errorf("%d queries of %d callers in %d processes, want %d", n, callers, processes, queries)
			}
		})
	}
}

func TestAStaleListIsForAllWhileOneAsks(t *testing.T) {
	const callers = 20
	db := newDatabase(2) // the second never comes: the query runs until the test ends
	ctx, cancel := context.WithCancel(t.Context())
	s := process(t, localserver.Redis(t), func(context.Context) (List, error) { return db.query(ctx) })
	old := List{Posts: []Post{{ID: 2}}, AsOf: time.Now().Add(-time.Hour).UTC()}
	if err := s.set(t.Context(), timed{List: old, Until: time.Now()}, time.Minute); err != nil {
		t.Fatal(err)
	}
	for range callers {
		if got, err := s.staleWhileRevalidate(t.Context()); err != nil || !got.equal(old) {
			t.Errorf("stale-while-revalidate = %v, %v, want %v", got, err, old)
		}
	}
	cancel()
	if n := db.begun.Load(); n > 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

func TestXFetchAsksEarlyByItsTimes(t *testing.T) {
	kept := List{Posts: []Post{{ID: 2}}, AsOf: time.Now().UTC()}
	for name, test := range map[string]struct {
		delta, left time.Duration
		queries     int32
	}{
		"a query that takes no time is never early": {0, time.Hour, 0},
		"an expired list":                         {0, -time.Hour, 1},
		"a query that takes ages is always early": {1 << 60, time.Nanosecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(1)
			s := process(t, localserver.Redis(t), db.query)
			if err := s.set(t.Context(), timed{List: kept, Delta: test.delta, Until: time.Now().Add(test.left)}, time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := s.xfetch(t.Context()); err != nil || db.begun.Load() != test.queries {
				t.Errorf("xfetch ran %d queries, error %v; want %d", db.begun.Load(), err, test.queries)
			}
		})
	}
}

func TestAStrategyThatDoesNotExistIsNamedWithThoseThatDo(t *testing.T) {
	_, _, err := (&service{}).choose("hope")
	want := `-strategy is "hope": set one of cache-aside, tutorial-lock, xfetch, stale-while-revalidate, single-flight, corral, corral-stale`
	if err == nil || err.Error() != want {
		t.Errorf("choose = %v, want %s", err, want)
	}
}
