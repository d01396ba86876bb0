package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

var addedRow = row{
	name: "added", title: "Latency added where the origin is asked",
	contenders: []string{corralName, "go-plain", "nginx", "nginx-plain", "varnish", "trafficserver", "squid"},
	columns: []column{
		{"miss", "miss p50 µs", "%.0f"}, {"pass", "pass p50 µs", "%.0f"}, {"direct", "direct p50 µs", "%.0f"},
	},
	how: func(b *bench) string {
		return fmt.Sprintf("One client asks for 1 KiB %d times, in turn of the origin, for a cold URL and for a private answer. The median less that of asking the origin.", b.sequence)
	},
	measure: measureAdded,
	judge: func(b *bench, s *section) {
		s.limit("miss", 150)
		s.limit("pass", 150)
	},
}

func measureAdded(ctx context.Context, b *bench, p *proxy) (sample, error) {
	direct, err := connect(ctx, b.origin.Front, 1)
	if err != nil {
		return nil, err
	}
	defer hangUp(direct)
	through, err := connect(ctx, p.addr, 1)
	if err != nil {
		return nil, err
	}
	defer hangUp(through)
	private := b.cold(order{size: kilobyte, private: true})
	times := map[string][]time.Duration{}
	for range b.sequence {
		for _, one := range []struct {
			key    string
			client *client
			order  order
		}{
			{"direct", direct[0], b.cold(order{size: kilobyte})},
			{"miss", through[0], b.cold(order{size: kilobyte})},
			{"pass", through[0], private},
		} {
			a := burst{order: one.order, giveUp: patient}.alone(one.client)
			if err := a.must(one.order); err != nil {
				return nil, err
			}
			times[one.key] = append(times[one.key], a.took)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	median := func(key string) float64 {
		slices.Sort(times[key])
		return 1000 * quantile(times[key], 0.5)
	}
	return sample{"direct": median("direct"), "miss": median("miss") - median("direct"), "pass": median("pass") - median("direct")}, nil
}
