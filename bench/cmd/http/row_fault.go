package main

import (
	"context"
	"fmt"
	"time"
)

// faultRivals are those that share answers.
var faultRivals = []string{corralName, "nginx", "varnish", "trafficserver", "squid", "workerd"}

// faultRow is a row in which the first answer goes wrong.
func faultRow(name, title, how string, o order) row {
	return row{
		name: name, title: title, contenders: faultRivals, columns: burstColumns, once: true,
		how: func(b *bench) string {
			return fmt.Sprintf("%d clients ask at once; the origin takes %v. %s", b.clients, b.wait, how)
		},
		measure: func(ctx context.Context, b *bench, p *proxy) (sample, error) {
			o.wait = b.wait
			return b.burstSample(ctx, p, b.clients, burst{order: b.cold(o), giveUp: patient})
		},
		judge: func(b *bench, s *section) {
			s.must(s.worst("calls") <= 2, "at most 2 origin calls")
			s.must(s.worst(string(truncated)) == 0, "no truncated 200")
			s.must(s.worst(string(unheard)) == 0, "an answer for everybody")
		},
	}
}

var (
	failingRow = faultRow("failing", "The first answer is a 500", "Its first answer is a 500, the next ones are good.",
		order{size: kilobyte, fault: fails})
	cutRow = faultRow("cut", "The first answer is cut at half", "Its first answer, of 64 KiB with Content-Length, ends in the middle, the next ones are good. Broken off: the client can see it.",
		order{size: streamed, fault: cuts})
	cutUnsizedRow = faultRow("cut-unsized", "The first answer is cut at half, without Content-Length", "As before, in the chunked coding.",
		order{size: streamed, unsized: true, fault: cuts})
)

var leavingRow = row{
	name: "leaving", title: "The client that caused the fetch leaves", contenders: faultRivals, columns: burstColumns, once: true,
	how: func(b *bench) string {
		return fmt.Sprintf("The origin takes %v. One client asks; when the origin has its call, %d more do; then the first hangs up.", leavingWaits*b.wait, b.clients-1)
	},
	measure: measureLeaving,
	judge: func(b *bench, s *section) {
		s.must(s.worst("calls") <= 2, "at most 2 origin calls")
		s.must(s.least(string(good)) == float64(b.clients-1), "%d good answers", b.clients-1)
	},
}

// leavingWaits is how much longer the origin takes here, so that all have come
// before the first leaves, and it leaves before the answer.
const leavingWaits = 4

func measureLeaving(ctx context.Context, b *bench, p *proxy) (sample, error) {
	clients, err := connect(ctx, p.addr, b.clients)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	o := b.cold(order{size: kilobyte, wait: leavingWaits * b.wait})
	if err := clients[0].send(requestFor(o.uri())); err != nil {
		return nil, err
	}
	if err := b.awaitCall(ctx, o); err != nil {
		return nil, err
	}
	time.AfterFunc(b.wait*3/2, func() { clients[0].close() })
	t := tallied(burst{order: o, giveUp: patient}.fire(clients[1:]))
	calls, err := b.origin.calls(ctx, o)
	s := sample{"p50": quantile(t.times, 0.5), "p99": quantile(t.times, 0.99), "max": quantile(t.times, 1)}
	t.counts(s, calls)
	return s, err
}

// awaitCall waits until the origin has been asked for an order.
func (b *bench) awaitCall(ctx context.Context, o order) error {
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if calls, err := b.origin.calls(ctx, o); err != nil || calls > 0 {
			return err
		}
	}
	return fmt.Errorf("GET %s: the origin was not asked", o.uri())
}

var hungRow = row{
	name: "hung", title: "The origin hangs, and is healed", contenders: faultRivals, once: true, deadline: true,
	columns: []column{
		{"p50", "held p50 ms", "%.0f"}, {"max", "held max ms", "%.0f"}, {string(failed), "errors", "%.0f"}, {string(unheard), "gave up", "%.0f"},
		{"calls", "origin calls", "%.0f"}, {"tries", "tries until it works", "%.0f"}, {"works", "works after ms", "%.0f"},
	},
	how: func(b *bench) string {
		return fmt.Sprintf("%d clients ask at once for what the origin never answers, and give up after %v; contenders are told to wait %v for it where they have a setting for that. Then it is healed and the same URL is asked for every %v.", b.clients, b.held, b.deadline, retrying)
	},
	measure: measureHung,
	judge: func(b *bench, s *section) {
		s.must(s.worst(string(unheard)) == 0, "everybody released")
		s.must(s.least("tries") == 1, "the next request works")
		s.limit("max", milliseconds(b.deadline)+500)
	},
}

func measureHung(ctx context.Context, b *bench, p *proxy) (sample, error) {
	if err := b.origin.heal(ctx, false); err != nil {
		return nil, err
	}
	o := b.cold(order{size: kilobyte, fault: hangs})
	t, err := b.fire(ctx, p, b.clients, burst{order: o, giveUp: b.held})
	if err != nil {
		return nil, err
	}
	calls, err := b.origin.calls(ctx, o)
	if err != nil {
		return nil, err
	}
	s := sample{"p50": quantile(t.times, 0.5), "max": quantile(t.times, 1)}
	t.counts(s, calls)
	if err := b.origin.heal(ctx, true); err != nil {
		return nil, err
	}
	healed := time.Now()
	for s["tries"] = 1; ; s["tries"]++ {
		clients, err := connect(ctx, p.addr, 1)
		if err != nil {
			return nil, err
		}
		next := burst{order: o, giveUp: retrying}.alone(clients[0])
		hangUp(clients)
		if next.verdict() == good {
			s["works"] = milliseconds(time.Since(healed))
			return s, nil
		}
		if time.Since(healed) > b.held {
			return s, nil // with no time until it works
		}
		time.Sleep(time.Until(healed.Add(time.Duration(s["tries"]) * retrying)))
	}
}

// retrying is the pause between two tries of whether a healed origin is seen.
const retrying = 200 * time.Millisecond
