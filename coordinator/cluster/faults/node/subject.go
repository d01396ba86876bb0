package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/cluster"
	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// cacheName is the same on all nodes: they share their keys.
const cacheName = "faults"

// A subject is a node under test and its cache.
type subject struct {
	node       *cluster.Node
	loader     *loader
	cache      *corral.Cache[[]byte]
	etcdClient string       // of the member in this process; empty if there is none
	store      corral.Store // nil: nowhere

	mu     sync.Mutex // guards what follows, and is held while a line is written
	out    *json.Encoder
	player *player // nil while it rests
}

// open makes the cache and waits until it hears of invalidations, so that the
// first command finds it as it will be.
func (s *subject) open(ctx context.Context) (err error) {
	coordinator := s.node.Cache(cacheName)
	s.cache, err = corral.New(corral.LoaderFunc[[]byte](s.loader.Load), corral.Options[[]byte]{
		Name: cacheName, TTL: time.Hour, Jitter: -1, ErrorPause: -1, MaxBytes: 256 << 20,
		Codec: codec.Bytes{}, Coordinator: coordinator, Store: s.store,
	})
	if err != nil {
		return err
	}
	keeper := coordinator.(corral.Keeper)
	for !keeper.Standing() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// obey carries out commands, all at once, until there are no more.
func (s *subject) obey(in io.Reader) error {
	s.answer(faults.Answer{})
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var command faults.Command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			return fmt.Errorf("command %q: %w", lines.Text(), err)
		}
		heard := time.Now()
		if command.Do == faults.Close {
			return s.close(command.ID)
		}
		go func() { s.answer(s.do(command, heard)) }()
	}
	return lines.Err()
}

func (s *subject) answer(a faults.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(a) // whoever reads it is gone, and this process soon is
}

func (s *subject) do(command faults.Command, heard time.Time) faults.Answer {
	a := faults.Answer{ID: command.ID, Heard: heard}
	ctx, cancel := context.WithTimeoutCause(context.Background(), command.Patience, errImpatient)
	defer cancel()
	switch command.Do {
	case faults.Get:
		s.get(ctx, command, &a)
	case faults.Invalidate:
		a.Error = text(s.cache.Invalidate(ctx, command.Key))
	case faults.InvalidateTag:
		a.Error = text(s.cache.InvalidateTags(ctx, command.Key))
	case faults.InvalidateAll:
		a.Error = text(s.cache.InvalidateAll(ctx))
	case faults.Set:
		a.Error = text(s.cache.Set(ctx, command.Key, corral.Item[[]byte]{Value: []byte(command.Value)}))
	case faults.Begin:
		a.Error = text(s.begin(*command.Play, command.Patience))
	case faults.Rest:
		a.Error = text(s.rest())
	case faults.Drain:
		a.Error = text(s.node.Drain(ctx, command.Key))
	case faults.Undrain:
		a.Error = text(s.node.Undrain(ctx, command.Key))
	case faults.Weigh:
		a.Weight = s.weigh()
	case faults.Owners:
		for _, partition := range s.node.Table() {
			a.Owners = append(a.Owners, partition.Owner)
		}
	case faults.Look:
		a.Status = s.look()
		for _, key := range command.Keys {
			a.Owners = append(a.Owners, s.node.OwnerOf(cacheName, key))
		}
	case faults.Leads:
		a.Leads = s.leads(ctx)
	default:
		a.Error = fmt.Sprintf("unknown command %q", command.Do)
	}
	a.Done, a.Ended = time.Now(), faults.Now()
	return a
}

// weigh collects garbage and looks at the process. Connections to the origin that
// nobody uses are the test's own.
func (s *subject) weigh() *faults.Weight {
	s.loader.client.CloseIdleConnections()
	time.Sleep(100 * time.Millisecond) // in which their goroutines end
	runtime.GC()
	runtime.GC() // what the first has let finalizers free
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	open, _ := os.ReadDir("/proc/self/fd") // none where there is no such directory
	return &faults.Weight{Goroutines: runtime.NumGoroutine(), Descriptors: len(open), Heap: memory.HeapAlloc}
}

// errImpatient is what a caller ends with whose Patience is over.
var errImpatient = errors.New("the caller has left")

// get asks for a key with many callers, and counts what they are told.
func (s *subject) get(ctx context.Context, command faults.Command, a *faults.Answer) {
	a.Values, a.Errors = map[string]int{}, map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range max(command.Callers, 1) {
		all.Go(func() {
			asked := time.Now()
			value, err := s.cache.Get(ctx, command.Key)
			waited := time.Since(asked)
			mu.Lock()
			defer mu.Unlock()
			a.Slowest = max(a.Slowest, waited)
			if err != nil {
				a.Errors[err.Error()]++
				return
			}
			a.Values[string(value)]++
		})
	}
	all.Wait()
}

func (s *subject) look() *faults.Status {
	from := s.node.Status()
	status := &faults.Status{
		Standing: from.Standing, Owned: from.Owned, Streams: from.Streams(), Epoch: from.Epoch,
		Buried: from.Buried, Lapses: from.Lapses, HolderLost: from.HolderLost, Superseded: from.Superseded,
	}
	for _, node := range from.Nodes {
		if node.State == "live" {
			status.Nodes = append(status.Nodes, node.Name)
		}
	}
	for _, partition := range s.node.Table() {
		if partition.Owner == "" {
			status.Ownerless++
		}
	}
	return status
}

// leads asks the member of etcd in this process whether it is the leader.
func (s *subject) leads(ctx context.Context) bool {
	if s.etcdClient == "" {
		return false
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcdClient}, Logger: zap.NewNop()})
	if err != nil {
		return false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := client.Status(ctx, s.etcdClient)
	return err == nil && status.Leader == status.Header.MemberId
}

// leaveWithin is for how long a node tries to give its keys away before it ends.
const leaveWithin = 10 * time.Second

func (s *subject) close(id int) error {
	a := faults.Answer{ID: id, Heard: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	a.Error = text(errors.Join(s.rest(), s.node.Leave(ctx), s.cache.Close(), s.node.Close()))
	a.Done = time.Now()
	s.answer(a)
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
