package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/v3"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// Names of the parts of invalidateRow.
const (
	aloneCallerName = "one caller, one key"
	barePutName     = "a bare write to etcd"
	manyCallersName = "many callers, one key each"
	batchesName     = "many callers, 100 keys each"
)

// batchKeys is the number of keys of a large invalidation.
const batchKeys = 100

var invalidateRow = row{
	Name: "invalidate", Title: "Invalidations that all three nodes have acknowledged",
	Columns: []rounds.Column{rounds.Compared("p50", "p50 ms", "%.2f"), rounds.Figure("p99", "p99 ms", "%.2f"), rounds.Figure("keys", "keys/s", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("Node a invalidates; etcd runs in the nodes, and two of three synchronise each write to disk. One caller; %d with a key each; %d with %d keys each. "+
			"Beside it a client in node a that writes as many bytes to the same etcd.", b.crowd, b.writers, batchKeys)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		return b.alternate(ctx, s, []string{aloneCallerName, barePutName, manyCallersName, batchesName}, func(part string) (rounds.Sample, error) {
			h := Invalidating{Hammer: Hammer{Callers: 1, Warm: b.warm, For: b.per}, Prefix: b.prefix("hot"), Keys: 1, Bare: part == barePutName}
			switch part {
			case manyCallersName:
				h.Callers = b.crowd
			case batchesName:
				h.Callers, h.Keys = b.writers, batchKeys
			}
			var r Reading
			err := f.nodes[0].Ask("Invalidate", h, &r)
			return rounds.Sample{"p50": rounds.Milliseconds(r.P50), "p99": rounds.Milliseconds(r.P99), "keys": r.Rate * float64(h.Keys)}, err
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Most(aloneCallerName, "p50", 4)
		s.Most(aloneCallerName, "p99", 15)
		s.Least(manyCallersName, "keys", 50_000)
		s.Least(batchesName, "keys", 50_000)
	},
}

// Invalidating says how keys are invalidated.
type Invalidating struct {
	Hammer
	Prefix string
	Keys   int  // of each invalidation
	Bare   bool // only written to etcd
}

// Invalidate has callers invalidate.
func (m *Member) Invalidate(h Invalidating, r *Reading) (err error) {
	keys := make([][]string, h.Callers)
	for caller := range keys {
		for i := range h.Keys {
			keys[caller] = append(keys[caller], fmt.Sprintf("%s/%d/%d", h.Prefix, caller, i))
		}
	}
	call := func(ctx context.Context, caller, _ int) error { return m.cache.Invalidate(ctx, keys[caller]...) }
	if h.Bare {
		client, err := m.etcd()
		if err != nil {
			return err
		}
		defer client.Close()
		call = func(ctx context.Context, caller, _ int) error {
			_, err := client.Put(ctx, "/bench", strings.Join(keys[caller], " "))
			return err
		}
	}
	*r, err = h.repeat(call)
	return err
}

// etcd is a client of the member that is in this node, or else of any.
func (m *Member) etcd() (*clientv3.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	members, err := m.node.EtcdMembers(ctx)
	if err != nil {
		return nil, err
	}
	var endpoint string
	for _, one := range members {
		if endpoint == "" || one.Name == m.node.Status().Name {
			endpoint = one.Client
		}
	}
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: patience})
}

var stoppedRow = row{
	Name: "stopped", Title: "Invalidations while one of three nodes stands still (SIGSTOP)",
	Columns: []rounds.Column{rounds.Figure("first", "the first, ms", "%.0f"), rounds.Figure("worst", "the longest, ms", "%.0f"), rounds.Figure("then", "after its tombstone, ms", "%.1f")},
	How: func(b *bench) string {
		return fmt.Sprintf("Node a invalidates one key after the other, from when a node that does not lead etcd is stopped, for %v. What is written waits until that node has a tombstone, or cannot have a lease any more.", standstill)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		b.close() // a node of it is to be declared dead
		f, err := b.open(ctx, 3, false)
		if err != nil {
			return err
		}
		defer f.close()
		return b.alternate(ctx, s, []string{corralName}, func(string) (rounds.Sample, error) { return b.stopOne(ctx, f) })
	},
	Judge: func(_ *bench, s *rounds.Section) { s.Worst(corralName, "worst", 2300) },
}

// standstill is how long a node is stopped.
const standstill = 4 * time.Second

// stopOne stops a node that does not lead etcd and lets it go on.
func (b *bench) stopOne(ctx context.Context, f *fleet) (rounds.Sample, error) {
	var leader string
	if err := f.nodes[0].Ask("Leader", Nothing{}, &leader); err != nil {
		return nil, err
	}
	victim := f.nodes[1]
	if victim.Name == leader {
		victim = f.nodes[2]
	}
	if err := victim.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	var took []time.Duration
	err := f.nodes[0].Ask("InvalidateInTurn", Invalidating{Hammer: Hammer{For: standstill}, Prefix: b.prefix("hot")}, &took)
	if err := errors.Join(err, victim.Signal(syscall.SIGCONT)); err != nil {
		return nil, err
	}
	worst := time.Duration(0)
	for _, one := range took {
		worst = max(worst, one)
	}
	return rounds.Sample{"first": rounds.Milliseconds(took[0]), "worst": rounds.Milliseconds(worst), "then": rounds.Milliseconds(took[len(took)-1])}, f.whole(ctx)
}

// Leader is the name of etcd's leader; empty if that is unknown.
func (m *Member) Leader(_ Nothing, name *string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	members, err := m.node.EtcdMembers(ctx)
	for _, one := range members {
		if one.Leader {
			*name = one.Name
		}
	}
	return err
}

// InvalidateInTurn invalidates keys one after the other for a time, and returns
// how long each took.
func (m *Member) InvalidateInTurn(h Invalidating, took *[]time.Duration) error {
	for began := time.Now(); time.Since(began) < h.For; {
		before := time.Now()
		if err := m.cache.Invalidate(context.Background(), fmt.Sprint(h.Prefix, "/", len(*took))); err != nil {
			return err
		}
		*took = append(*took, time.Since(before))
	}
	return nil
}
