package corraltest_test

import (
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// A suite is worth what it catches. Each of these is wrong in one way, and the
// suite must fail for it.
var wrongStores = map[string]func(corral.Store) corral.Store{
	"deletes what is newer": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Revision += 1 << 32
			return s.Delete(ctx, inv)
		}}
	},
	"does not delete by tag": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Tags = nil
			return s.Delete(ctx, inv)
		}}
	},
	"deletes the first key only": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Keys = inv.Keys[:min(1, len(inv.Keys))]
			return s.Delete(ctx, inv)
		}}
	},
	"does not delete by prefix": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Prefixes = nil
			return s.Delete(ctx, inv)
		}}
	},
	"takes a prefix for a key": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Keys, inv.Prefixes = append(slices.Clone(inv.Keys), inv.Prefixes...), nil
			return s.Delete(ctx, inv)
		}}
	},
	"takes a prefix for a pattern": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Prefixes = slices.Clone(inv.Prefixes)
			for i, prefix := range inv.Prefixes {
				inv.Prefixes[i] = strings.TrimRight(prefix, "*")
			}
			return s.Delete(ctx, inv)
		}}
	},
	"spares what is soft": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			if inv.Soft {
				return nil
			}
			return s.Delete(ctx, inv)
		}}
	},
	"takes a tag for a key": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			inv.Keys = append(slices.Clone(inv.Keys), inv.Tags...)
			return s.Delete(ctx, inv)
		}}
	},
	"reads no body": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, put: func(ctx context.Context, key string, record *corral.Record) error {
			copied := *record
			copied.Body = nil
			return s.Put(ctx, key, &copied)
		}}
	},
	"takes a broken body for a whole one": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, put: func(ctx context.Context, key string, record *corral.Record) error {
			if record.Body == nil {
				return s.Put(ctx, key, record)
			}
			data, _ := io.ReadAll(record.Body)
			copied := *record
			copied.Body = io.NopCloser(strings.NewReader(string(data)))
			return s.Put(ctx, key, &copied)
		}}
	},
	"stops the clock": func(s corral.Store) corral.Store {
		var mu sync.Mutex
		ages := map[string]time.Duration{}
		return storeFuncs{Store: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			record, err := s.Get(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			if record != nil {
				if age, ok := ages[key]; ok {
					record.Age = age
				}
				ages[key] = record.Age
			}
			return record, err
		}}
	},
	"ends what never ends": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			record, err := s.Get(ctx, key)
			if record != nil && record.TTL == corral.Forever {
				record.TTL -= time.Second
			}
			return record, err
		}}
	},
	"folds keys": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, put: func(ctx context.Context, key string, record *corral.Record) error {
			return s.Put(ctx, strings.ToLower(key), record)
		}}
	},
	"loses the validator": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			record, err := s.Get(ctx, key)
			if record != nil {
				record.Validator = ""
			}
			return record, err
		}}
	},
	"ignores the context": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, put: func(ctx context.Context, key string, record *corral.Record) error {
			return s.Put(context.WithoutCancel(ctx), key, record)
		}}
	},
	"writes in pieces": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, put: func(ctx context.Context, key string, record *corral.Record) error {
			header := *record
			header.Body = io.NopCloser(strings.NewReader(""))
			s.Put(ctx, key, &header)
			return s.Put(ctx, key, record)
		}}
	},
	"calls what it lacks an error": func(s corral.Store) corral.Store {
		return storeFuncs{Store: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			record, err := s.Get(ctx, key)
			if record == nil && err == nil {
				err = corral.ErrNotFound
			}
			return record, err
		}}
	},
}

var wrongCoordinators = map[string]func(n int) []corral.Coordinator{
	"has an owner in each process": func(n int) []corral.Coordinator {
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = corraltest.NewDomain().Process("")
		}
		return all
	},
	"grants everybody": wrong(func(c *wrongCoordinator) {
		c.join = func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerLease, Lease: corraltest.NewLease("", nil)}, nil
		}
	}),
	"does not tell who leaves": wrong(func(c *wrongCoordinator) {
		c.leave = func(corral.Lease, func()) {}
	}),
	"tells who leaves although others wait": wrong(func(c *wrongCoordinator) {
		c.leave = func(_ corral.Lease, unwanted func()) { unwanted() }
	}),
	"tells who leaves twice": wrong(func(c *wrongCoordinator) {
		c.leave = func(l corral.Lease, unwanted func()) { l.Leave(func() { unwanted(); unwanted() }) }
	}),
	"grants to who may not answer": wrong(func(c *wrongCoordinator) {
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			request.Lapsed = false
			return c.Coordinator.Join(ctx, request)
		}
	}),
	"has nothing for who may not answer": wrong(func(c *wrongCoordinator) {
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			if request.Lapsed {
				return corral.Answer{Kind: corral.AnswerUnavailable}, nil
			}
			return c.Coordinator.Join(ctx, request)
		}
	}),
	"keeps what is shared": wrong(func(c *wrongCoordinator) {
		c.fill = func(ctx context.Context, l corral.Lease, r *corral.Record) error {
			r.Outcome = corral.Keep
			return l.Fill(ctx, r)
		}
	}),
	"loses tags": wrong(func(c *wrongCoordinator) {
		c.fill = func(ctx context.Context, l corral.Lease, r *corral.Record) error {
			r.Tags = nil
			return l.Fill(ctx, r)
		}
	}),
	"loses bodies": wrong(func(c *wrongCoordinator) {
		c.fill = func(ctx context.Context, l corral.Lease, r *corral.Record) error {
			r.Body = nil
			return l.Fill(ctx, r)
		}
	}),
	"takes every value for a new one": wrong(func(c *wrongCoordinator) {
		c.fill = func(ctx context.Context, l corral.Lease, r *corral.Record) error {
			r.Revision = 1 << 40
			return l.Fill(ctx, r)
		}
	}),
	"acknowledges before it has": wrong(func(c *wrongCoordinator) {
		c.invalidate = func(ctx context.Context, target corral.Target) error {
			go c.Coordinator.Invalidate(context.WithoutCancel(ctx), target)
			return nil
		}
	}),
	"acknowledges what it cannot know": wrong(func(c *wrongCoordinator) {
		c.invalidate = func(ctx context.Context, target corral.Target) error {
			if ctx.Err() != nil {
				return nil
			}
			return c.Coordinator.Invalidate(ctx, target)
		}
	}),
	"applies twice": wrong(func(c *wrongCoordinator) {
		c.watch = func(ctx context.Context, apply func(corral.Invalidation)) error {
			return c.Coordinator.Watch(ctx, func(inv corral.Invalidation) { apply(inv); apply(inv) })
		}
	}),
	"applies out of order": wrong(func(c *wrongCoordinator) {
		var held *corral.Invalidation
		c.watch = func(ctx context.Context, apply func(corral.Invalidation)) error {
			return c.Coordinator.Watch(ctx, func(inv corral.Invalidation) {
				if held == nil && slices.Contains(inv.Keys, "0-3") {
					held = &inv
					return
				}
				apply(inv)
				if held != nil {
					apply(*held)
				}
				held = nil
			})
		}
	}),
	"loses prefixes": wrong(func(c *wrongCoordinator) {
		c.invalidate = func(ctx context.Context, target corral.Target) error {
			target.Prefixes = nil
			return c.Coordinator.Invalidate(ctx, target)
		}
	}),
	"hardens what is soft": wrong(func(c *wrongCoordinator) {
		c.invalidate = func(ctx context.Context, target corral.Target) error {
			target.Soft = false
			return c.Coordinator.Invalidate(ctx, target)
		}
	}),
	"misses one": wrong(func(c *wrongCoordinator) {
		c.watch = func(ctx context.Context, apply func(corral.Invalidation)) error {
			return c.Coordinator.Watch(ctx, func(inv corral.Invalidation) {
				if !slices.Contains(inv.Keys, "0-3") {
					apply(inv)
				}
			})
		}
	}),
	"never ends a lease": wrong(func(c *wrongCoordinator) {
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			answer, err := c.Coordinator.Join(ctx, request)
			if answer.Lease != nil {
				go func() {
					for answer.Lease.Extend(ctx) == nil {
						time.Sleep(time.Second)
					}
				}()
			}
			return answer, err
		}
	}),
	"hands no lease on": wrong(func(c *wrongCoordinator) {
		c.abandon = func(ctx context.Context, l corral.Lease) error { return nil }
	}),
	"takes heartbeats for nothing": wrong(func(c *wrongCoordinator) {
		c.extend = func(ctx context.Context, l corral.Lease) error { return nil }
	}),
	"fails who should pass": wrong(func(c *wrongCoordinator) {
		c.pass = func(ctx context.Context, l corral.Lease) error { return l.Fail(ctx, io.EOF, 0) }
	}),
	"forgets the cause": wrong(func(c *wrongCoordinator) {
		c.fail = func(ctx context.Context, l corral.Lease, _ error, pause time.Duration) error {
			return l.Fail(ctx, io.EOF, pause)
		}
	}),
	"answers Fresh with what it has": wrong(func(c *wrongCoordinator) {
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			request.Fresh = false
			return c.Coordinator.Join(ctx, request)
		}
	}),
	"says that it owns nothing": func(n int) []corral.Coordinator {
		all := keepersThatOwn(n, "0")
		for i := range all {
			all[i] = poorKeeper{all[i].(corral.Keeper)}
		}
		return all
	},
	"takes what is set for newer than all": func(n int) []corral.Coordinator {
		all := keepersThatOwn(n, "0")
		for i := range all {
			all[i] = boldKeeper{all[i].(*corraltest.Keeper)}
		}
		return all
	},
	"does not let go": wrong(func(c *wrongCoordinator) {
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			return c.Coordinator.Join(context.WithoutCancel(ctx), request)
		}
	}),
}

// TestWrong runs the suite on what the environment names, for the test below.
func TestWrong(t *testing.T) {
	name := os.Getenv("CORRALTEST_WRONG")
	if store := wrongStores[name]; store != nil {
		corraltest.TestStore(t, func(*testing.T) corral.Store { return store(&corraltest.Store{}) }, corraltest.VirtualTime(), corraltest.Weak(corraltest.TakesLatePuts))
	}
	if store := wrongMemories[name]; store != nil {
		corraltest.TestStore(t, func(*testing.T) corral.Store { return store(&remembering{}) }, corraltest.VirtualTime(), reopening)
	}
	if store := wrongUnderFaults[name]; store != nil {
		corraltest.TestStoreFaults(t, func(*testing.T) corral.Store { return store(&remembering{}) }, corraltest.VirtualTime(), reopening)
	}
	if coordinators := wrongCoordinatorsUnderFaults[name]; coordinators != nil {
		corraltest.TestCoordinatorFaults(t, func(_ *testing.T, n int) []corral.Coordinator { return coordinators(n) }, corraltest.VirtualTime())
	}
	if coordinators := wrongCoordinators[name]; coordinators != nil {
		corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator { return coordinators(n) }, corraltest.VirtualTime())
	}
}

func TestTheSuitesCatchWhatIsWrong(t *testing.T) {
	names := slices.Concat(
		slices.Collect(maps.Keys(wrongStores)), slices.Collect(maps.Keys(wrongMemories)), slices.Collect(maps.Keys(wrongCoordinators)),
		slices.Collect(maps.Keys(wrongUnderFaults)), slices.Collect(maps.Keys(wrongCoordinatorsUnderFaults)),
	)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := exec.CommandContext(t.Context(), self, "-test.run=^TestWrong$", "-test.failfast", "-test.timeout=1m")
			suite.Env = append(os.Environ(), "CORRALTEST_WRONG="+name)
			out, err := suite.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestWrong/") {
				t.Fatalf("the suite passed, or came to no verdict: %v\n%s", err, out)
			}
		})
	}
}

// storeFuncs is a store of which some methods are replaced.
type storeFuncs struct {
	corral.Store
	get    func(context.Context, string) (*corral.Record, error)
	put    func(context.Context, string, *corral.Record) error
	delete func(context.Context, corral.Invalidation) error
}

func (s storeFuncs) Get(ctx context.Context, key string) (*corral.Record, error) {
	if s.get == nil {
		return s.Store.Get(ctx, key)
	}
	return s.get(ctx, key)
}

func (s storeFuncs) Put(ctx context.Context, key string, record *corral.Record) error {
	if s.put == nil {
		return s.Store.Put(ctx, key, record)
	}
	return s.put(ctx, key, record)
}

func (s storeFuncs) Delete(ctx context.Context, inv corral.Invalidation) error {
	if s.delete == nil {
		return s.Store.Delete(ctx, inv)
	}
	return s.delete(ctx, inv)
}

// poorKeeper denies that it owns what it is asked for.
type poorKeeper struct{ corral.Keeper }

func (poorKeeper) Owns(string) bool { return false }

// boldKeeper has a revision for what is set that nothing comes after.
type boldKeeper struct{ *corraltest.Keeper }

func (k boldKeeper) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	lease, _, err := k.Keeper.Overwrite(ctx, key)
	return lease, 1 << 40, err
}

// wrongCoordinator is a process of a domain of which some methods are replaced.
type wrongCoordinator struct {
	corral.Coordinator
	join       func(context.Context, corral.Request) (corral.Answer, error)
	invalidate func(context.Context, corral.Target) error
	watch      func(context.Context, func(corral.Invalidation)) error
	fill       func(context.Context, corral.Lease, *corral.Record) error
	fail       func(context.Context, corral.Lease, error, time.Duration) error
	pass       func(context.Context, corral.Lease) error
	abandon    func(context.Context, corral.Lease) error
	extend     func(context.Context, corral.Lease) error
	leave      func(corral.Lease, func())
}

func wrong(how func(*wrongCoordinator)) func(n int) []corral.Coordinator {
	return func(n int) []corral.Coordinator {
		all := processes(nil, n)
		for i := range all {
			c := &wrongCoordinator{Coordinator: all[i]}
			how(c)
			all[i] = c
		}
		return all
	}
}

func (c *wrongCoordinator) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	join := c.join
	if join == nil {
		join = c.Coordinator.Join
	}
	answer, err := join(ctx, request)
	if answer.Lease != nil {
		answer.Lease = wrongLease{answer.Lease, c}
	}
	return answer, err
}

func (c *wrongCoordinator) Invalidate(ctx context.Context, target corral.Target) error {
	if c.invalidate == nil {
		return c.Coordinator.Invalidate(ctx, target)
	}
	return c.invalidate(ctx, target)
}

func (c *wrongCoordinator) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	if c.watch == nil {
		return c.Coordinator.Watch(ctx, apply)
	}
	return c.watch(ctx, apply)
}

type wrongLease struct {
	corral.Lease
	c *wrongCoordinator
}

func (l wrongLease) Fill(ctx context.Context, record *corral.Record) error {
	if l.c.fill == nil {
		return l.Lease.Fill(ctx, record)
	}
	return l.c.fill(ctx, l.Lease, record)
}

func (l wrongLease) Fail(ctx context.Context, cause error, pause time.Duration) error {
	if l.c.fail == nil {
		return l.Lease.Fail(ctx, cause, pause)
	}
	return l.c.fail(ctx, l.Lease, cause, pause)
}

func (l wrongLease) Pass(ctx context.Context) error {
	if l.c.pass == nil {
		return l.Lease.Pass(ctx)
	}
	return l.c.pass(ctx, l.Lease)
}

func (l wrongLease) Abandon(ctx context.Context) error {
	if l.c.abandon == nil {
		return l.Lease.Abandon(ctx)
	}
	return l.c.abandon(ctx, l.Lease)
}

func (l wrongLease) Extend(ctx context.Context) error {
	if l.c.extend == nil {
		return l.Lease.Extend(ctx)
	}
	return l.c.extend(ctx, l.Lease)
}

func (l wrongLease) Leave(unwanted func()) {
	if l.c.leave == nil {
		l.Lease.Leave(unwanted)
		return
	}
	l.c.leave(l.Lease, unwanted)
}
