package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/cluster"
)

// cacheName is of the one cache that the nodes share.
const cacheName = "bench"

// valueBytes is the size of values.
const valueBytes = 1 << 10

// smallBytes is the size of values of which there are many.
const smallBytes = 16

// patience is how long anything may take that is no figure.
const patience = 30 * time.Second

// A Member is a node of the cluster with its cache, and the rivals' servers
// beside it. Its exported methods are called by the parent.
type Member struct {
	node     *cluster.Node
	port     *port
	cache    *corral.Cache[[]byte]
	loads    loads
	rivals   *servers
	askers   map[string]asker
	seized   corral.Lease   // see Seize
	stalled  *corral.Record // see Stall
	swept    atomic.Value   // the end of a Sweep, as context.CancelFunc
	profiled *os.File
}

// Start says how a node is started.
type Start struct {
	Name, Listen, Dir string
	Peers             []string
	Etcd              string   // where it is, if not in the nodes
	Groupcache        []string // of all nodes
	Index             int      // of this one
	Exchange          string   // of NATS
	Alone             bool     // without the rivals
}

// Begin joins the cluster and returns the address of the rivals.
func (m *Member) Begin(s Start, rival *string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), joining)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	config := cluster.Config{Name: s.Name, Listen: s.Listen, Peers: s.Peers, Dir: s.Dir, New: true, Log: log}
	if s.Etcd != "" {
		config.Peers, config.Etcd = nil, []string{s.Etcd}
	}
	if m.node, err = cluster.Join(ctx, config); err != nil {
		return err
	}
	m.port = &port{Keeper: m.node.Cache(cacheName).(corral.Keeper)}
	m.cache, err = corral.New(corral.LoaderFunc[[]byte](m.loads.load), corral.Options[[]byte]{
		Name: cacheName, MaxBytes: 1 << 30, TTL: corral.Forever, ErrorPause: -1,
		Codec: codec.Bytes{}, Coordinator: m.port, Logger: log,
	})
	if err != nil {
		return err
	}
	m.askers = map[string]asker{corralName: m.askOwner}
	if !s.Alone {
		if m.rivals, err = serveRivals(s, &m.loads); err != nil {
			return err
		}
		*rival = m.rivals.address
	}
	for ctx.Err() == nil && !m.port.Standing() {
		time.Sleep(time.Millisecond)
	}
	return context.Cause(ctx)
}

// Close leaves the cluster.
func (m *Member) Close() error {
	var errs []error
	if m.rivals != nil {
		m.rivals.stop()
	}
	if m.node != nil { // while the cache is there to be handed over
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		errs = append(errs, m.node.Leave(ctx))
	}
	if m.cache != nil {
		errs = append(errs, m.cache.Close())
	}
	if m.node != nil {
		errs = append(errs, m.node.Close())
	}
	return errors.Join(errs...)
}

// Status is the node's.
func (m *Member) Status(_ Nothing, status *cluster.Status) error {
	*status = m.node.Status()
	return nil
}

// Owned asks for keys of an owner.
type Owned struct {
	Owner, Prefix string
	Count         int
}

// Owned are keys that a node owns, as this one knows.
func (m *Member) Owned(o Owned, keys *[]string) error {
	for i := 0; len(*keys) < o.Count; i++ {
		if key := fmt.Sprintf("%s/%d", o.Prefix, i); m.node.OwnerOf(cacheName, key) == o.Owner {
			*keys = append(*keys, key)
		}
		if i > 1000*(o.Count+100) {
			return fmt.Errorf("node %q owns %d of %d keys", o.Owner, len(*keys), i)
		}
	}
	return nil
}

// Fill lets the node have values of keys.
func (m *Member) Fill(keys []string, _ *Nothing) error {
	for _, key := range keys {
		if _, err := m.cache.Get(context.Background(), key); err != nil {
			return err
		}
	}
	return nil
}

// Profile begins a processor profile of the node, or ends the one that runs if
// path is empty.
func (m *Member) Profile(path string, _ *Nothing) (err error) {
	if path == "" {
		pprof.StopCPUProfile()
		return m.profiled.Close()
	}
	if m.profiled, err = os.Create(path); err != nil {
		return err
	}
	return pprof.StartCPUProfile(m.profiled)
}

// A port is the Coordinator of the node's cache, at which callers can ask
// themselves what the cache would ask: it knows the revision up to which the
// cache has applied everything.
type port struct {
	corral.Keeper
	revision atomic.Uint64
	asks     atomic.Int64 // Joins
}

// Join implements corral.Coordinator.
func (p *port) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	p.asks.Add(1)
	return p.Keeper.Join(ctx, request)
}

// Watch implements corral.Coordinator.
func (p *port) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	return p.Keeper.Watch(ctx, func(i corral.Invalidation) {
		apply(i)
		p.revision.Store(i.Revision)
	})
}

func nothingBehind() []corral.Lease { return nil }

// ask is Join for a caller who has just arrived.
func (p *port) ask(ctx context.Context, key string) (corral.Answer, error) {
	return p.Join(ctx, corral.Request{Key: key, Revision: p.revision.Load(), Wait: patience, Behind: nothingBehind})
}

// An asker gets the value of a key, which another process has.
type asker func(ctx context.Context, key string) error

// askOwner gets a value from its owner. It goes by the Coordinator, for the
// cache itself would keep the value and not ask again.
func (m *Member) askOwner(ctx context.Context, key string) error {
	answer, err := m.port.ask(ctx, key)
	switch {
	case err != nil:
		return err
	case answer.Kind != corral.AnswerValue:
		return fmt.Errorf("key %q: the owner's answer is of kind %d, want a value: %w", key, answer.Kind, answer.Err)
	}
	return sized(key, len(answer.Record.Value))
}

// askCache is what a program does.
func (m *Member) askCache(ctx context.Context, key string) error {
	value, err := m.cache.Get(ctx, key)
	if err != nil {
		return err
	}
	return sized(key, len(value))
}

func sized(key string, got int) error {
	if got != valueBytes {
		return fmt.Errorf("key %q: a value of %d bytes, want %d", key, got, valueBytes)
	}
	return nil
}

// loads are what the loaders of this process do. Those that take time are
// counted.
type loads struct{ count atomic.Int64 }

// waits are how long a load takes, by how its key begins.
var waits = map[string]time.Duration{"cold": 120 * time.Millisecond, "slow": 4 * time.Second}

func (l *loads) value(ctx context.Context, key string) ([]byte, error) {
	kind, _, _ := strings.Cut(key, "/")
	if wait := waits[kind]; wait > 0 {
		l.count.Add(1)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if kind == "small" {
		return make([]byte, smallBytes), nil
	}
	return make([]byte, valueBytes), nil
}

func (l *loads) load(ctx context.Context, key string, _ *corral.Item[[]byte]) (corral.Item[[]byte], error) {
	value, err := l.value(ctx, key)
	return corral.Item[[]byte]{Value: value}, err
}
