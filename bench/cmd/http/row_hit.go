package main

import (
	"context"
	"fmt"
	"time"
)

// hotClients is the number of connections of wrk.
const hotClients = 64

var hitRow = row{
	name: "hit", title: "Hits of 1 KiB",
	contenders: []string{corralName, "bare", "nginx", "varnish", "trafficserver", "squid"},
	columns:    []column{{"rate", "hits/s", "%.0f"}, {"efficiency", "hits/s of CPU", "%.0f"}, {"p50", "p50 ms", "%.2f"}, {"p99", "p99 ms", "%.2f"}},
	how: func(b *bench) string {
		by := "wrk -t2"
		if !b.wrk {
			by = "this program"
		}
		return fmt.Sprintf("%d connections of %s for %v at one URL. CPU is that of the contender's process tree.", hotClients, by, b.hitting)
	},
	measure: measureHits,
	judge:   func(b *bench, s *section) { s.atLeast("rate", 1, "varnish") },
}

var hotRow = row{
	name: "hot", title: "Hits on one hot key, against a Durable Object",
	contenders: []string{corralName, "workerd"},
	columns:    hitRow.columns,
	how:        hitRow.how,
	measure:    measureHits,
	judge: func(b *bench, s *section) {
		s.atLeast("rate", 5, "workerd")
		s.limit("p99", 5)
	},
}

func measureHits(ctx context.Context, b *bench, p *proxy) (sample, error) {
	o := b.cold(order{size: kilobyte})
	if err := b.get(ctx, p, o); err != nil { // it is cached from here on
		return nil, err
	}
	before, err := processorTime(p.pid())
	if err != nil {
		return nil, err
	}
	s, hits, err := b.hammer(ctx, p, o)
	if err != nil {
		return nil, err
	}
	after, err := processorTime(p.pid())
	if err != nil {
		return nil, err
	}
	s["efficiency"] = hits / max(after-before, tick).Seconds()
	calls, err := b.origin.calls(ctx, o)
	if err == nil && calls > 1 && p.command != nil {
		err = fmt.Errorf("GET %s: the origin was asked %d times for what should be hits", o.uri(), calls)
	}
	return s, err
}

// hammer asks for an order as fast as it can, by wrk or, in a smoke run, by
// this program.
func (b *bench) hammer(ctx context.Context, p *proxy, o order) (s sample, hits float64, err error) {
	if b.wrk {
		return wrk(ctx, hotClients, b.hitting, "http://"+p.addr+o.uri())
	}
	clients, err := connect(ctx, p.addr, hotClients)
	if err != nil {
		return nil, 0, err
	}
	defer hangUp(clients)
	end := time.Now().Add(b.hitting)
	n, err := repeat(clients, func() (order, bool) { return o, time.Now().Before(end) })
	return sample{"rate": float64(n) / b.hitting.Seconds()}, float64(n), err
}

// get asks for an order once.
func (b *bench) get(ctx context.Context, p *proxy, o order) error {
	clients, err := connect(ctx, p.addr, 1)
	if err != nil {
		return err
	}
	defer hangUp(clients)
	return burst{order: o, giveUp: patient}.alone(clients[0]).must(o)
}
