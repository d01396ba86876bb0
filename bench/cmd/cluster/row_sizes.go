package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

var sizesRow = row{
	Name: "sizes", Title: "What a get and the cluster itself cost as it grows",
	Columns: []rounds.Column{
		rounds.Figure("p50", "p50 µs, one caller", "%.1f"), rounds.Figure("cpu", "µs CPU a get, 64 callers an owner", "%.1f"),
		rounds.Figure("sends", "sends/s a node at rest", "%.1f"), rounds.Figure("bytes", "bytes/s a node at rest", "%.0f"),
		rounds.Figure("writes", "etcd writes/s a node", "%.2f"), rounds.Figure("idle", "ms CPU/s a node at rest", "%.1f"),
	},
	How: func(b *bench) string {
		return fmt.Sprintf("Clusters of %v nodes, etcd in a process apart. Node a asks for what the others have, in equal parts; alone, for what it has itself. "+
			"Sends are write system calls of the nodes, to each other and to etcd, and bytes what they wrote; a cache's clock makes 200 a second, of 8 bytes.", b.sizes)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		b.close()
		for _, n := range b.sizes {
			f, err := b.open(ctx, n, true)
			if err != nil {
				return err
			}
			samples, err := b.sized(ctx, f)
			f.close()
			if err != nil {
				return fmt.Errorf("%s: %w", sizeName(n), err)
			}
			for _, seen := range samples {
				s.Add(sizeName(n), seen)
			}
		}
		return nil
	},
	Judge: func(b *bench, s *rounds.Section) {
		last := len(b.sizes) - 1
		if b.quick {
			return
		}
		s.Times("cpu", sizeName(b.sizes[last]), sizeName(2), "≤ 1.25", func(ratio float64) bool { return ratio <= 1.25 })
		// Linear: from 3 nodes to the last as much a node as from 1 to 3.
		sends := func(n int) float64 { return s.Median(sizeName(n), "sends") }
		first, then := (sends(3)-sends(1))/2, (sends(b.sizes[last])-sends(3))/float64(b.sizes[last]-3)
		s.Bar(then <= 1.25*first, "sends at rest grow by at most 1.25 × as much with each further node as with the first ones",
			fmt.Sprintf("%.1f/s, then %.1f/s with each node", first, then))
	},
}

func sizeName(nodes int) string { return fmt.Sprintf("%d nodes", nodes) }

// sized measures one cluster.
func (b *bench) sized(ctx context.Context, f *fleet) (samples []rounds.Sample, err error) {
	var keys []string
	owners := max(len(f.nodes)-1, 1)
	for owner := range len(f.nodes) {
		if owner == 0 && len(f.nodes) > 1 {
			continue
		}
		owned, err := f.owned(owner, b.prefix("hot"), b.scale.keys/owners)
		if err != nil {
			return nil, err
		}
		if err := f.nodes[owner].Ask("Fill", owned, &Nothing{}); err != nil {
			return nil, err
		}
		keys = append(keys, owned...)
	}
	// Neighbours in the list have different owners.
	slices.SortFunc(keys, func(one, other string) int { return bytes.Compare(mixed(one), mixed(other)) })
	for range b.rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rest, err := b.resting(f)
		if err != nil {
			return nil, err
		}
		one, err := f.hammer(Hammer{Contender: corralName, Callers: 1, Warm: b.warm, For: b.per, Keys: keys})
		if err != nil {
			return nil, err
		}
		many, err := f.hammer(Hammer{Contender: corralName, Callers: 64 * owners, Warm: b.warm, For: b.per, Keys: keys})
		if err != nil {
			return nil, err
		}
		rest["p50"], rest["cpu"] = one["p50"], many["cpu"]
		samples = append(samples, rest)
	}
	return samples, nil
}

// mixed is a key backwards.
func mixed(key string) []byte {
	b := []byte(key)
	slices.Reverse(b)
	return b
}

// resting is what a cluster does that nobody asks anything, for each node.
func (b *bench) resting(f *fleet) (rounds.Sample, error) {
	before, err := f.written()
	if err != nil {
		return nil, err
	}
	writes, err := f.writes(func() error { time.Sleep(b.rest); return nil })
	if err != nil {
		return nil, err
	}
	after, err := f.written()
	if err != nil {
		return nil, err
	}
	each := b.rest.Seconds() * float64(len(f.nodes))
	return rounds.Sample{
		"writes": writes, "sends": float64(after.calls-before.calls) / each, "bytes": float64(after.bytes-before.bytes) / each,
		"idle": rounds.Milliseconds(after.used-before.used) / each,
	}, nil
}

// A traffic is what processes have written, to sockets for the most part, and
// how long they have worked.
type traffic struct {
	calls, bytes int64
	used         time.Duration
}

func (f *fleet) written() (sum traffic, err error) {
	for _, p := range f.nodes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.Pid()))
		if err != nil {
			return sum, err
		}
		fields := bytes.Fields(text)
		for i, field := range fields[:len(fields)-1] {
			n, _ := strconv.ParseInt(string(fields[i+1]), 10, 64)
			switch string(field) {
			case "syscw:":
				sum.calls += n
			case "wchar:":
				sum.bytes += n
			}
		}
		var used time.Duration
		if err := p.Ask("Used", Nothing{}, &used); err != nil {
			return sum, err
		}
		sum.used += used
	}
	return sum, nil
}
