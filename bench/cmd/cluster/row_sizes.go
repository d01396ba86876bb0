package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

var sizesRow = row{
	name: "sizes", title: "What a get and the cluster itself cost as it grows",
	columns: []column{
		{"p50", "p50 µs, one caller", "%.1f", false}, {"cpu", "µs CPU a get, 64 callers an owner", "%.1f", false},
		{"sends", "sends/s a node at rest", "%.1f", false}, {"bytes", "bytes/s a node at rest", "%.0f", false},
		{"writes", "etcd writes/s a node", "%.2f", false}, {"idle", "ms CPU/s a node at rest", "%.1f", false},
	},
	how: func(b *bench) string {
		return fmt.Sprintf("Clusters of %v nodes, etcd in a process apart. Node a asks for what the others have, in equal parts; alone, for what it has itself. "+
			"Sends are write system calls of the nodes, to each other and to etcd, and bytes what they wrote; a cache's clock makes 200 a second, of 8 bytes.", b.sizes)
	},
	measure: func(ctx context.Context, b *bench, s *section) error {
		b.close()
		for _, n := range b.sizes {
			l := line{name: sizeName(n)}
			f, err := b.open(ctx, n, true)
			if err != nil {
				return err
			}
			l.samples, err = b.sized(ctx, f)
			f.close()
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			s.lines = append(s.lines, l)
		}
		return nil
	},
	judge: func(b *bench, s *section) {
		last := len(b.sizes) - 1
		if b.quick {
			return
		}
		s.times("cpu", sizeName(b.sizes[last]), sizeName(2), "≤ 1.25", func(ratio float64) bool { return ratio <= 1.25 })
		// Linear: from 3 nodes to the last as much a node as from 1 to 3.
		sends := func(n int) float64 { return s.median(sizeName(n), "sends") }
		first, then := (sends(3)-sends(1))/2, (sends(b.sizes[last])-sends(3))/float64(b.sizes[last]-3)
		s.bars = append(s.bars, bar{
			wanted: "sends at rest grow by at most 1.25 × as much with each further node as with the first ones",
			got:    fmt.Sprintf("%.1f/s, then %.1f/s with each node", first, then), met: then <= 1.25*first,
		})
	},
}

func sizeName(nodes int) string { return fmt.Sprintf("%d nodes", nodes) }

// sized measures one cluster.
func (b *bench) sized(ctx context.Context, f *fleet) (samples []sample, err error) {
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
		if err := f.nodes[owner].ask("Fill", owned, &Nothing{}); err != nil {
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
func (b *bench) resting(f *fleet) (sample, error) {
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
	return sample{
		"writes": writes, "sends": float64(after.calls-before.calls) / each, "bytes": float64(after.bytes-before.bytes) / each,
		"idle": milliseconds(after.used-before.used) / each,
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
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
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
		if err := p.ask("Used", Nothing{}, &used); err != nil {
			return sum, err
		}
		sum.used += used
	}
	return sum, nil
}
