package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/bench/internal/rounds"
)

// Names of the parts of stalledRow.
const (
	quietName   = "nothing else"
	stalledName = "a stalled body"
)

// besides is the number of callers of small keys.
const besides = 16

var stalledRow = row{
	Name: "stalled", Title: "Small keys while a large body is stalled between the same nodes",
	Columns: []rounds.Column{rounds.Figure("p50", "p50 µs", "%.0f"), rounds.Figure("p99", "p99 µs", "%.0f"), rounds.Figure("rate", "gets/s", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers of node a at small values of node b, with and without a body of %d MiB of b that node a has begun to read and reads no further.", besides, b.body>>20)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		keys, err := f.owned(1, b.prefix("hot"), b.scale.keys)
		if err != nil {
			return err
		}
		if err := f.nodes[1].Ask("Fill", keys, &Nothing{}); err != nil {
			return err
		}
		h := Hammer{Contender: corralName, Callers: besides, Warm: b.warm, For: b.per, Keys: keys}
		return b.alternate(ctx, s, []string{stalledName, quietName}, func(part string) (rounds.Sample, error) {
			if part == quietName {
				return f.hammer(h)
			}
			if err := b.stall(f); err != nil {
				return nil, err
			}
			seen, err := f.hammer(h)
			return seen, errors.Join(err, f.nodes[0].Ask("Unstall", Nothing{}, &Nothing{}))
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Times("p99", stalledName, quietName, "≤ 1.5", func(ratio float64) bool { return ratio <= 1.5 })
	},
}

// stall lets the first node begin to read a body that the second one fills.
func (b *bench) stall(f *fleet) error {
	keys, err := f.owned(1, b.prefix("stalled"), 1)
	if err != nil {
		return err
	}
	if err := f.nodes[1].Ask("Seize", keys[0], &Nothing{}); err != nil {
		return err
	}
	stalled := f.nodes[0].Begin("Stall", keys[0], &Nothing{})
	if err := f.nodes[1].Ask("Offer", b.body, &Nothing{}); err != nil {
		return err
	}
	return (<-stalled.Done).Error
}

// Seize takes the lease of a key.
func (m *Member) Seize(key string, _ *Nothing) error {
	answer, err := m.port.ask(context.Background(), key)
	if err == nil && answer.Kind != corral.AnswerLease {
		err = fmt.Errorf("key %q: the answer is of kind %d, want a lease", key, answer.Kind)
	}
	m.seized = answer.Lease
	return err
}

// Offer fills the lease with a body of that many bytes once somebody waits for
// it.
func (m *Member) Offer(size int64, _ *Nothing) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for m.node.Status().Waiting == 0 {
		if ctx.Err() != nil {
			return errors.New("nobody waits for the body")
		}
		time.Sleep(time.Millisecond)
	}
	return m.seized.Fill(ctx, &corral.Record{
		Value: []byte("head"), Body: zeros{&io.LimitedReader{R: zeros{}, N: size}}, BodySize: size,
		TTL: corral.Forever, Revision: m.port.revision.Load(), Outcome: corral.Share,
	})
}

// begun is how much of a body is read before it stalls, in bytes.
const begun = 1 << 20

// Stall begins to read the body of a key.
func (m *Member) Stall(key string, _ *Nothing) error {
	answer, err := m.port.ask(context.Background(), key)
	switch {
	case err != nil:
		return err
	case answer.Kind != corral.AnswerValue || answer.Record.Body == nil:
		return fmt.Errorf("key %q: the answer is of kind %d: %+v, want a body", key, answer.Kind, answer.Record)
	}
	m.stalled = answer.Record
	_, err = io.CopyN(io.Discard, m.stalled.Body, begun)
	return err
}

// Unstall reads a little more, to see that the body is still there, and leaves
// the rest.
func (m *Member) Unstall(Nothing, *Nothing) error {
	_, err := io.CopyN(io.Discard, m.stalled.Body, begun)
	return errors.Join(err, m.stalled.Body.Close())
}

// zeros are bytes without end, or those of a reader.
type zeros struct{ io.Reader }

func (z zeros) Read(p []byte) (int, error) {
	if z.Reader != nil {
		return z.Reader.Read(p)
	}
	clear(p)
	return len(p), nil
}

func (zeros) Close() error { return nil }
