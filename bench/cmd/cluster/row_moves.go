package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
	"github.com/corralcache/corral/coordinator/cluster"
)

// Names of the parts of movesRow.
const (
	joinsName  = "a node joins three"
	leavesName = "a node leaves four"
)

var movesRow = row{
	Name: "moves", Title: "Planned moves of keys",
	Columns: []rounds.Column{
		rounds.Figure("moved", "partitions moved", "%.0f"), rounds.Figure("minimum", "of at least", "%.0f"), rounds.Figure("excess", "moved ÷ minimum", "%.3f"),
		rounds.Figure("stall", "longest get, ms", "%.0f"), rounds.Figure("gets", "gets/s", "%.0f"), rounds.Figure("took", "until it is balanced, ms", "%.0f"),
	},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers of nodes a and b, each with keys that nobody has asked for, from %v before the move until it is over.", movers, settling)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		b.close()
		f, err := b.open(ctx, 3, false)
		if err != nil {
			return err
		}
		defer f.close()
		for range b.rounds {
			for i, change := range []func(context.Context) error{f.grow, f.shrink} {
				name := []string{joinsName, leavesName}[i]
				seen, err := b.move(ctx, f, change, name == joinsName)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				s.Add(name, seen)
			}
		}
		return nil
	},
	Judge: func(_ *bench, s *rounds.Section) {
		for _, name := range []string{joinsName, leavesName} {
			s.Worst(name, "excess", 1.1)
			s.Worst(name, "stall", 300)
		}
	},
}

// movers is the number of callers, at each of two nodes, while keys move.
const movers = 8

// move changes the number of nodes while callers ask.
func (b *bench) move(ctx context.Context, f *fleet, change func(context.Context) error, grows bool) (rounds.Sample, error) {
	before, err := f.table()
	if err != nil {
		return nil, err
	}
	askers := f.nodes[:2]
	readings, errs := make([]Swept, len(askers)), make([]error, len(askers))
	var asking sync.WaitGroup
	for i, p := range askers {
		prefix := b.prefix("hot")
		asking.Go(func() { errs[i] = p.Ask("Sweep", Sweep{Prefix: prefix, Callers: movers}, &readings[i]) })
	}
	time.Sleep(settling)
	began := time.Now()
	failed := change(ctx)
	took := time.Since(began)
	for _, p := range askers {
		failed = errors.Join(failed, p.Ask("Sweep", Sweep{}, &Swept{}))
	}
	asking.Wait()
	if err := errors.Join(append(errs, failed)...); err != nil {
		return nil, err
	}
	after, err := f.table()
	if err != nil {
		return nil, err
	}
	moved, least := 0, len(after)/len(f.nodes) // to who joins
	if !grows {
		least = 0
	}
	for p, owner := range before {
		if owner != after[p] {
			moved++
		}
		if !grows && owner == nameOf(len(f.nodes)) {
			least++ // from who left
		}
	}
	return rounds.Sample{
		"moved": float64(moved), "minimum": float64(least), "excess": float64(moved) / float64(least), "took": rounds.Milliseconds(took),
		"stall": rounds.Milliseconds(max(readings[0].Longest, readings[1].Longest)), "gets": readings[0].Rate + readings[1].Rate,
	}, nil
}

// grow starts one more node.
func (f *fleet) grow(ctx context.Context) error {
	i := len(f.nodes)
	if i == len(f.starts) {
		addresses, err := freeAddresses(1)
		if err != nil {
			return err
		}
		one := f.starts[0]
		one.Name, one.Listen, one.Dir, one.Alone = nameOf(i), addresses[0], filepath.Join(f.dir, nameOf(i)), true
		f.starts = append(f.starts, one)
	}
	f.nodes = append(f.nodes, nil)
	if err := f.again(i); err != nil {
		return err
	}
	return f.whole(ctx)
}

// shrink has the last node leave.
func (f *fleet) shrink(ctx context.Context) error {
	last := f.nodes[len(f.nodes)-1]
	f.nodes = slices.Delete(f.nodes, len(f.nodes)-1, len(f.nodes))
	last.End() // it leaves first
	select {
	case <-last.Ended():
		return f.whole(ctx)
	case <-time.After(joining):
		last.Kill()
		return fmt.Errorf("node %s has not left within %v", last.Name, joining)
	}
}

func nameOf(i int) string { return string(rune('a' + i)) }

// table is who owns each partition, as the first node knows.
func (f *fleet) table() (owners []string, err error) {
	var table []cluster.PartitionStatus
	err = f.nodes[0].Ask("Table", Nothing{}, &table)
	for _, p := range table {
		owners = append(owners, p.Owner)
	}
	return owners, err
}

// Table is the node's.
func (m *Member) Table(_ Nothing, table *[]cluster.PartitionStatus) error {
	*table = m.node.Table()
	return nil
}

// Sweep says how many callers ask, each for keys of its own and for each once.
// Without callers it ends the one that runs.
type Sweep struct {
	Prefix  string
	Callers int
}

// Swept is what they saw.
type Swept struct {
	Rate    float64 // gets/s
	Longest time.Duration
}

// Sweep asks until another Sweep ends it.
func (m *Member) Sweep(s Sweep, seen *Swept) error {
	if s.Callers == 0 {
		m.swept.Load().(context.CancelFunc)()
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	m.swept.Store(stop)
	gets, longest, errs := make([]int, s.Callers), make([]time.Duration, s.Callers), make([]error, s.Callers)
	began := time.Now()
	var callers sync.WaitGroup
	for caller := range s.Callers {
		callers.Go(func() {
			for ctx.Err() == nil && errs[caller] == nil {
				before := time.Now()
				errs[caller] = m.askCache(context.Background(), fmt.Sprintf("%s/%d/%d", s.Prefix, caller, gets[caller]))
				longest[caller] = max(longest[caller], time.Since(before))
				gets[caller]++
			}
		})
	}
	callers.Wait()
	sum := 0
	for _, n := range gets {
		sum += n
	}
	seen.Rate, seen.Longest = float64(sum)/time.Since(began).Seconds(), slices.Max(longest)
	return errors.Join(errs...)
}
