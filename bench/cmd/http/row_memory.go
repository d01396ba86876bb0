package main

import (
	"context"
	"fmt"
	"time"
)

var largeRow = row{
	name: "large", title: "A large body, many cold waiters", once: true,
	contenders: []string{corralName, "nginx", "varnish", "trafficserver", "squid", "workerd"},
	columns: append([]column{
		{"peak", "peak RSS over idle MiB", "%.1f"}, {"idle", "idle MiB", "%.1f"}, {"max", "all done ms", "%.0f"},
	}, verdictColumns...),
	how: func(b *bench) string {
		return fmt.Sprintf("%d clients ask at once for %d MiB that the origin begins to send after %v. Peak is the sum of VmHWM over the contender's processes, idle that of Pss with the connections open.", b.readers, b.large>>20, b.wait)
	},
	measure: measureLarge,
	judge: func(b *bench, s *section) {
		s.must(s.worst("calls") == 1 && s.least(string(good)) == float64(b.readers), "1 origin call, %d good answers", b.readers)
		s.limit("peak", 64)
	},
}

const mebibyte = 1 << 20

func measureLarge(ctx context.Context, b *bench, p *proxy) (sample, error) {
	clients, err := connect(ctx, p.addr, b.readers)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	if err := forgetPeak(p.pid()); err != nil {
		return nil, err
	}
	idle, err := memoryOf(p.pid())
	if err != nil {
		return nil, err
	}
	o := b.cold(order{size: b.large, wait: b.wait})
	t := tallied(burst{order: o, giveUp: patient}.fire(clients))
	after, err := memoryOf(p.pid())
	if err != nil {
		return nil, err
	}
	calls, err := b.origin.calls(ctx, o)
	s := sample{"peak": float64(after.Peak-idle.Peak) / mebibyte, "idle": float64(idle.Now) / mebibyte, "max": quantile(t.times, 1)}
	t.counts(s, calls)
	return s, err
}

var entriesRow = row{
	name: "entries", title: "Memory for an entry of 1 KiB", once: true,
	contenders: []string{corralName, "varnish", "squid", "workerd"},
	columns: []column{
		{"settled", "bytes an entry", "%.0f"}, {"idle", "idle MiB", "%.1f"}, {"filled", "filled MiB", "%.1f"},
	},
	how: func(b *bench) string {
		return fmt.Sprintf("%d keys, asked for once each on 16 connections. Pss of the contender's processes less that before, %v after the last one, in which each may give back what it will. Nginx and Traffic Server keep bodies in files.", b.entries, b.settling)
	},
	measure: measureEntries,
	judge:   func(b *bench, s *section) { s.limit("settled", 2200) },
}

func measureEntries(ctx context.Context, b *bench, p *proxy) (sample, error) {
	clients, err := connect(ctx, p.addr, 16)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	idle, err := memoryOf(p.pid())
	if err != nil {
		return nil, err
	}
	left := b.entries
	if _, err := repeat(clients, func() (order, bool) { left--; return b.cold(order{size: kilobyte}), left >= 0 }); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(b.settling):
	}
	filled, err := memoryOf(p.pid())
	return sample{
		"settled": float64(filled.Now-idle.Now) / float64(b.entries),
		"idle":    float64(idle.Now) / mebibyte,
		"filled":  float64(filled.Now) / mebibyte,
	}, err
}
