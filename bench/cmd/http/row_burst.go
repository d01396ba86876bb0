package main

import (
	"context"
	"fmt"
	"time"
)

// patient is how long clients wait where nothing hangs. Nginx's lock lets them
// go after 5 s.
const patient = 20 * time.Second

// The columns of a burst.
var (
	timeColumns    = []column{{"p50", "p50 ms", "%.1f"}, {"p99", "p99 ms", "%.1f"}, {"max", "max ms", "%.1f"}}
	verdictColumns = []column{
		{"calls", "origin calls", "%.0f"}, {string(good), "good", "%.0f"}, {string(failed), "errors", "%.0f"},
		{string(broken), "broken off", "%.0f"}, {string(truncated), "truncated 200s", "%.0f"}, {string(unheard), "no answer", "%.0f"},
	}
	burstColumns = append(timeColumns[:3:3], verdictColumns...)
)

// fire opens the connections of a burst, fires it, and sums it up.
func (b *bench) fire(ctx context.Context, p *proxy, n int, burst burst) (tally, error) {
	clients, err := connect(ctx, p.addr, n)
	if err != nil {
		return tally{}, err
	}
	defer hangUp(clients)
	return tallied(burst.fire(clients)), nil
}

// burstSample is the sample of one burst.
func (b *bench) burstSample(ctx context.Context, p *proxy, n int, burst burst) (sample, error) {
	t, err := b.fire(ctx, p, n, burst)
	if err != nil {
		return nil, err
	}
	calls, err := b.origin.calls(ctx, burst.order)
	s := sample{"p50": quantile(t.times, 0.5), "p99": quantile(t.times, 0.99), "max": quantile(t.times, 1)}
	t.counts(s, calls)
	return s, err
}

const kilobyte = 1 << 10

var coldRow = row{
	name: "cold", title: "Many at once at one cold URL",
	contenders: []string{corralName, "bare", "nginx", "varnish", "trafficserver", "squid", "workerd"},
	columns:    burstColumns,
	how: func(b *bench) string {
		return fmt.Sprintf("%d clients on warm connections ask at once for 1 KiB that the origin has after %v.", b.clients, b.wait)
	},
	measure: func(ctx context.Context, b *bench, p *proxy) (sample, error) {
		return b.burstSample(ctx, p, b.clients, burst{order: b.cold(order{size: kilobyte, wait: b.wait}), giveUp: patient})
	},
	judge: func(b *bench, s *section) {
		s.must(s.worst("calls") == 1 && s.least(string(good)) == float64(b.clients), "1 origin call, %d good answers", b.clients)
		s.atMost("p99", 1.1, "bare")
		s.atMost("p99", 1, "varnish")
	},
}

var spreadRow = row{
	name: "spread", title: "Many who come one after another while the origin works",
	contenders: []string{corralName, "nginx", "varnish", "trafficserver", "squid", "workerd"},
	columns:    burstColumns,
	how: func(b *bench) string {
		return fmt.Sprintf("%d clients come evenly over %v; the origin takes %v. Times from when each was due.", b.visitors, b.spread, b.wait)
	},
	measure: func(ctx context.Context, b *bench, p *proxy) (sample, error) {
		return b.burstSample(ctx, p, b.visitors, burst{order: b.cold(order{size: kilobyte, wait: b.wait}), over: b.spread, giveUp: patient})
	},
	judge: func(b *bench, s *section) {
		s.must(s.worst("calls") == 1 && s.least(string(good)) == float64(b.visitors), "1 origin call, %d good answers", b.visitors)
		s.limit("p50", 66)
		s.limit("p99", 125)
	},
}

var privateRow = row{
	name: "private", title: "Many at once for an answer that is private",
	contenders: []string{corralName, "bare", "nginx-plain", "go-plain", "nginx", "varnish", "trafficserver", "squid"},
	columns: []column{
		{"p50", "p50 ms", "%.0f"}, {"p99", "p99 ms", "%.0f"}, {"distinct", "different answers", "%.0f"}, {"calls", "origin calls", "%.0f"},
		{"p50 again", "again p50 ms", "%.0f"}, {"p99 again", "again p99 ms", "%.0f"}, {"distinct again", "different answers", "%.0f"},
	},
	how: func(b *bench) string {
		return fmt.Sprintf("%d clients ask at once for 1 KiB that is different for each and private, which the origin has after %v; and once more. The plain ones have no cache.", b.clients, b.patience)
	},
	measure: func(ctx context.Context, b *bench, p *proxy) (sample, error) {
		o := b.cold(order{size: kilobyte, wait: b.patience, private: true})
		s := sample{}
		for _, when := range []string{"", " again"} {
			t, err := b.fire(ctx, p, b.clients, burst{order: o, giveUp: patient})
			if err != nil {
				return nil, err
			}
			s["p50"+when], s["p99"+when], s["distinct"+when] = quantile(t.times, 0.5), quantile(t.times, 0.99), float64(t.distinct)
		}
		calls, err := b.origin.calls(ctx, o)
		s["calls"] = float64(calls)
		return s, err
	},
	judge: func(b *bench, s *section) {
		s.must(s.least("distinct") == float64(b.clients) && s.least("distinct again") == float64(b.clients), "%d different answers, twice", b.clients)
		s.limit("p99", 450)
		s.atMost("p99 again", 1.1, "nginx-plain")
		s.atMost("p99 again", 1.1, "go-plain")
	},
}
