package main

import (
	"context"
	"fmt"
	"time"
)

// streamed is the size of a body that takes its time.
const streamed = 64 << 10

var streamRow = row{
	name: "stream", title: "A body that takes its time, and those who come meanwhile",
	contenders: []string{corralName, "nginx", "varnish", "trafficserver", "squid", "workerd"},
	columns: append([]column{
		{"first p50", "first byte p50 ms", "%.2f"}, {"first p99", "first byte p99 ms", "%.2f"}, {"p99", "whole p99 ms", "%.0f"},
	}, verdictColumns...),
	how: func(b *bench) string {
		return fmt.Sprintf("64 KiB arrive in %d pieces over %v. In the middle half of it %d more clients come, one by one. First byte is that of the body.", pieces, b.arriving, b.latecomers)
	},
	measure: measureStream,
	judge: func(b *bench, s *section) {
		s.must(s.worst("calls") == 1 && s.least(string(good)) == float64(b.latecomers+1), "1 origin call, %d good answers", b.latecomers+1)
		s.limit("first p50", 2)
		s.limit("first p99", 2)
	},
}

func measureStream(ctx context.Context, b *bench, p *proxy) (sample, error) {
	clients, err := connect(ctx, p.addr, b.latecomers+1)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	o := b.cold(order{size: streamed, over: b.arriving})
	began := time.Now()
	earliest := make(chan answer, 1)
	go func() { earliest <- burst{order: o, giveUp: patient}.fire(clients[:1])[0] }()
	time.Sleep(time.Until(began.Add(b.arriving / 4)))
	late := burst{order: o, over: b.arriving / 2, giveUp: patient}.fire(clients[1:])
	t := tallied(late)
	calls, err := b.origin.calls(ctx, o)
	s := sample{"first p50": quantile(t.firsts, 0.5), "first p99": quantile(t.firsts, 0.99), "p99": quantile(t.times, 0.99)}
	tallied(append(late, <-earliest)).counts(s, calls)
	return s, err
}
