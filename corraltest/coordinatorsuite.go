package corraltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// TestCoordinator holds a Coordinator to its contract. open makes n processes
// that share keys, and nothing else does, closed with the test.
func TestCoordinator(t *testing.T, open func(t *testing.T, n int) []corral.Coordinator, options ...Option) {
	s := newSuite(options)
	run := func(name string, processes int, test func(t *testing.T, m []*member)) {
		s.run(t, name, func(t *testing.T) { test(t, enrol(t, s, open(t, processes))) })
	}
	unless := func(weaknesses []Weakness, name string, processes int, test func(t *testing.T, m []*member)) {
		run(name, processes, func(t *testing.T, m []*member) {
			s.unless(t, weaknesses...)
			test(t, m)
		})
	}
	run("one asker is granted a lease, the others are given what it fills", 3, func(t *testing.T, m []*member) { oneLease(t, s, m) })
	run("the record that is filled arrives whole", 2, func(t *testing.T, m []*member) { recordsArrive(t, s, m) })
	run("a body that is filled arrives byte for byte", 2, func(t *testing.T, m []*member) {
		lease, parked := m[0].lease(t, "a"), m[1].park(t, s, "a")
		text := strings.Repeat("body\n", 50_000)
		fill(t, m[0], lease, &corral.Record{Value: []byte("header"), Body: body(text), BodySize: int64(len(text)), TTL: time.Hour})
		got := want(t, parked, corral.AnswerValue).Record
		if got.Body == nil || string(got.Value) != "header" {
			t.Fatalf("got %+v, want the header and a body", got)
		}
		defer got.Body.Close()
		if data, err := io.ReadAll(got.Body); string(data) != text || err != nil {
			t.Fatalf("the body came as %d bytes, %v; want %d", len(data), err, len(text))
		}
	})
	run("what is filled is kept at the process that owns the key, whichever holds the lease", 3, func(t *testing.T, m []*member) {
		for i, holder := range m {
			owned := slices.ContainsFunc(m, func(p *member) bool {
				keeper, ok := p.Coordinator.(corral.Keeper)
				return !ok || keeper.Owns("a")
			})
			if !owned {
				t.Fatal("no process owns the key")
			}
			value := fmt.Sprint("of ", i)
			fill(t, holder, holder.lease(t, "a"), &corral.Record{Value: []byte(value), BodySize: -1, TTL: time.Hour})
			for j, p := range m {
				answer, err := p.Join(deadline(t), p.request("a"))
				if err != nil || answer.Kind != corral.AnswerValue || string(answer.Record.Value) != value {
					t.Fatalf("process %d asked for what process %d has computed, and got kind %d, %v", j, i, answer.Kind, err)
				}
			}
			holder.invalidate(t, corral.Target{Keys: []string{"a"}})
		}
	})
	set := func(name string, test func(t *testing.T, m []*member, overwrite func(*member) (corral.Lease, uint64))) {
		run(name, 3, func(t *testing.T, m []*member) {
			test(t, m, func(p *member) (corral.Lease, uint64) {
				setter, ok := p.Coordinator.(corral.Setter)
				if !ok {
					t.Skip("it is no Setter")
				}
				lease, revision, err := setter.Overwrite(deadline(t), "a")
				if err != nil {
					t.Fatalf("Overwrite: %v", err)
				}
				if applied := p.revision(); revision > applied {
					t.Fatalf("Overwrite returned for revision %d at a process that has applied %d", revision, applied)
				}
				return lease, revision
			})
		})
	}
	set("what is set takes the place of what was kept, and who asks meanwhile waits for it", func(t *testing.T, m []*member, overwrite func(*member) (corral.Lease, uint64)) {
		fill(t, m[0], m[0].lease(t, "a"), &corral.Record{Value: []byte("old"), BodySize: -1, Revision: m[0].revision(), TTL: time.Hour})
		lease, revision := overwrite(m[1])
		waits := m[2].park(t, s, "a")
		fill(t, m[1], lease, &corral.Record{Value: []byte("set"), BodySize: -1, Revision: revision, TTL: time.Hour})
		if got := want(t, waits, corral.AnswerValue).Record; string(got.Value) != "set" {
			t.Fatalf("who waited was given %q", got.Value)
		}
		for i, p := range m {
			if got := want(t, p.join(deadline(t), p.request("a")), corral.AnswerValue).Record; string(got.Value) != "set" {
				t.Fatalf("process %d was given %q", i, got.Value)
			}
		}
	})
	set("what is set is granted while another computes, whose value is not kept", func(t *testing.T, m []*member, overwrite func(*member) (corral.Lease, uint64)) {
		begun := m[0].revision()
		old := m[0].lease(t, "a")
		lease, revision := overwrite(m[1])
		fill(t, m[1], lease, &corral.Record{Value: []byte("set"), BodySize: -1, Revision: revision, TTL: time.Hour})
		old.Fill(deadline(t), &corral.Record{Value: []byte("old"), BodySize: -1, Revision: begun, TTL: time.Hour}) // it may be void
		if got := want(t, m[2].join(deadline(t), m[2].request("a")), corral.AnswerValue).Record; string(got.Value) != "set" {
			t.Fatalf("got %q", got.Value)
		}
	})
	set("what is set is not kept once its key has been invalidated", func(t *testing.T, m []*member, overwrite func(*member) (corral.Lease, uint64)) {
		lease, revision := overwrite(m[1])
		m[0].invalidate(t, corral.Target{Keys: []string{"a"}})
		fill(t, m[1], lease, &corral.Record{Value: []byte("set"), BodySize: -1, Revision: revision, TTL: time.Hour})
		m[2].lease(t, "a")
	})
	run("a shared value is for those who are parked only", 2, func(t *testing.T, m []*member) {
		lease, parked := m[0].lease(t, "a"), m[1].park(t, s, "a")
		fill(t, m[0], lease, &corral.Record{Value: []byte("v"), BodySize: -1, Outcome: corral.Share, TTL: time.Hour})
		if got := want(t, parked, corral.AnswerValue).Record; got.Outcome != corral.Share {
			t.Fatalf("the outcome came as %v, want %v", got.Outcome, corral.Share)
		}
		m[1].lease(t, "a")
	})
	run("a failure goes to those who are parked, with its pause", 3, func(t *testing.T, m []*member) {
		lease, parked := m[0].lease(t, "a"), m[1].park(t, s, "a")
		if err := lease.Fail(deadline(t), errors.New("no such table"), time.Minute); err != nil {
			t.Fatalf("Fail: %v", err)
		}
		got := want(t, parked, corral.AnswerError)
		if got.Err == nil || !strings.Contains(got.Err.Error(), "no such table") || got.RetryAfter <= 0 || got.RetryAfter > time.Minute {
			t.Fatalf("got the error %v with a pause of %v; want the cause and at most 1m", got.Err, got.RetryAfter)
		}
	})
	run("a failure without a pause leaves the key free", 2, func(t *testing.T, m []*member) {
		if err := m[0].lease(t, "a").Fail(deadline(t), errors.New("once"), 0); err != nil {
			t.Fatalf("Fail: %v", err)
		}
		m[1].lease(t, "a")
	})
	run("a pass releases those who are parked", 3, func(t *testing.T, m []*member) {
		lease := m[0].lease(t, "a")
		first, second := m[1].park(t, s, "a"), m[2].park(t, s, "a")
		if err := lease.Pass(deadline(t)); err != nil {
			t.Fatalf("Pass: %v", err)
		}
		want(t, first, corral.AnswerPass)
		want(t, second, corral.AnswerPass)
	})
	run("a fresh value is not what was kept before", 2, func(t *testing.T, m []*member) {
		fill(t, m[0], m[0].lease(t, "a"), &corral.Record{Value: []byte("old"), BodySize: -1, TTL: time.Hour})
		request := m[1].request("a")
		request.Fresh = true
		answer, err := m[1].Join(deadline(t), request)
		if answer.Kind != corral.AnswerLease || err != nil {
			t.Fatalf("Join gave kind %d, %v; want a lease", answer.Kind, err)
		}
	})
	run("one that gives up waiting takes only itself", 3, func(t *testing.T, m []*member) {
		lease, stays := m[0].lease(t, "a"), m[1].park(t, s, "a")
		ctx, cancel := context.WithCancel(deadline(t))
		leaves := m[2].join(ctx, m[2].request("a"))
		wantNothing(t, s, leaves)
		cancel()
		if got := receive(t, leaves); got.err == nil {
			t.Fatalf("a Join whose context ended gave kind %d and no error", got.Kind)
		}
		fill(t, m[0], lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
		want(t, stays, corral.AnswerValue)
	})
	run("a lease that is extended stays", 2, func(t *testing.T, m []*member) {
		lease, parked := m[0].lease(t, "a"), m[1].park(t, s, "a")
		for range s.beats() {
			time.Sleep(min(time.Second, s.still()))
			if err := lease.Extend(deadline(t)); err != nil {
				t.Fatalf("Extend: %v", err)
			}
		}
		wantNothing(t, s, parked)
		fill(t, m[0], lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
		want(t, parked, corral.AnswerValue)
	})
	run("a lease that is not extended goes on to one who is parked", 3, func(t *testing.T, m []*member) {
		leasesGoOn(t, s, m, func(lease corral.Lease) { receive(t, lease.Lost()) })
	})
	run("a lease that is abandoned goes on to one who is parked", 3, func(t *testing.T, m []*member) {
		leasesGoOn(t, s, m, func(lease corral.Lease) {
			s.settle()
			if err := lease.Abandon(deadline(t)); err != nil {
				t.Fatalf("Abandon: %v", err)
			}
		})
	})
	run("a lease that is abandoned leaves the key free", 2, func(t *testing.T, m []*member) {
		if err := m[0].lease(t, "a").Abandon(deadline(t)); err != nil {
			t.Fatalf("Abandon: %v", err)
		}
		m[1].lease(t, "a")
	})
	unless([]Weakness{NeverUnwanted}, "a holder that leaves is told once nobody waits any more", 3, func(t *testing.T, m []*member) { holdersAreTold(t, s, m) })
	unless([]Weakness{NeverUnwanted}, "a holder that leaves is told at once when nobody waits", 2, func(t *testing.T, m []*member) {
		lease, unwanted := m[0].lease(t, "a"), make(chan bool, 2)
		lease.Leave(func() { unwanted <- true })
		receive(t, unwanted)
		if err := lease.Abandon(deadline(t)); err != nil {
			t.Fatalf("Abandon: %v", err)
		}
		m[1].lease(t, "a")
		wantNothing(t, s, unwanted)
	})
	unless([]Weakness{NeverLapsed}, "a process that may not answer is granted nothing", 2, func(t *testing.T, m []*member) {
		answer, err := m[0].Join(deadline(t), m[0].lapsed("a"))
		if err == nil && answer.Kind != corral.AnswerUnavailable {
			t.Fatalf("Join gave kind %d; want that nobody can say", answer.Kind)
		}
		m[1].lease(t, "a")
	})
	unless([]Weakness{NeverLapsed}, "a process that may not answer is given what is kept", 2, func(t *testing.T, m []*member) {
		fill(t, m[0], m[0].lease(t, "a"), &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
		want(t, m[1].join(deadline(t), m[1].lapsed("a")), corral.AnswerValue)
	})
	unless([]Weakness{NeverLapsed}, "a process that may not answer is given what is computed, and no lease", 3, func(t *testing.T, m []*member) {
		lease := m[0].lease(t, "a")
		lapsed := m[1].join(deadline(t), m[1].lapsed("a"))
		wantNothing(t, s, lapsed)
		parked := m[2].park(t, s, "a")
		if err := lease.Abandon(deadline(t)); err != nil {
			t.Fatalf("Abandon: %v", err)
		}
		fill(t, m[2], want(t, parked, corral.AnswerLease).Lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
		want(t, lapsed, corral.AnswerValue)
	})
	unless([]Weakness{NeverLapsed}, "a process that may not answer is not given what was begun before an invalidation that it has not heard of", 2, func(t *testing.T, m []*member) {
		begun := m[0].revision()
		lease := m[0].lease(t, "a")
		m[0].invalidate(t, corral.Target{Tags: []string{"x"}})
		request := m[1].lapsed("a")
		request.Revision = begun
		lapsed := m[1].join(deadline(t), request)
		s.settle()
		fill(t, m[0], lease, &corral.Record{Value: []byte("old"), BodySize: -1, Revision: begun, TTL: time.Hour, Tags: []string{"x"}})
		if got := receive(t, lapsed); got.Kind == corral.AnswerValue && got.err == nil {
			t.Fatalf("Join gave %q, which an invalidation concerns", got.Record.Value)
		}
	})
	unless([]Weakness{Unheard}, "Watch sees every invalidation once, in the order of revisions", 3, watchesAgree)
	run("Watch begins by saying from which revision on it tells everything", 1, func(t *testing.T, m []*member) {
		if first := m[0].seen()[0]; len(first.Keys)+len(first.Prefixes)+len(first.Tags) > 0 || first.Revision == 0 || first.More {
			t.Fatalf("the first word was %+v; want Missed, everything, or no target", first)
		}
	})
	unless([]Weakness{Unheard, KeysOnly}, "Watch brings a target as it was given", 2, func(t *testing.T, m []*member) {
		for _, target := range []corral.Target{
			{Keys: []string{"a", "\xff"}, Prefixes: []string{"p/", ""}, Tags: []string{"x"}, Soft: true},
			{Prefixes: []string{"p/"}}, {All: true, Soft: true}, {Tags: []string{"x", ""}},
		} {
			m[0].invalidate(t, target)
			for i, p := range m {
				seen := p.seen()
				got := seen[len(seen)-1].Target
				if !slices.Equal(got.Keys, target.Keys) || !slices.Equal(got.Prefixes, target.Prefixes) || !slices.Equal(got.Tags, target.Tags) ||
					got.All != target.All || got.Soft != target.Soft {
					t.Fatalf("process %d saw %+v, want %+v", i, got, target)
				}
			}
		}
	})
	waits := func(t *testing.T, held, tells *member) {
		release := held.hold()
		done := make(chan error, 1)
		go func() { done <- tells.Invalidate(deadline(t), corral.Target{Keys: []string{"a"}}) }()
		wantNothing(t, s, done)
		release()
		if err := receive(t, done); err != nil {
			t.Fatalf("Invalidate: %v", err)
		}
	}
	run("Invalidate returns once the callback of its own Watch has", 1, func(t *testing.T, m []*member) { waits(t, m[0], m[0]) })
	unless([]Weakness{Unheard}, "Invalidate returns once the callbacks of Watch have", 2, func(t *testing.T, m []*member) { waits(t, m[1], m[0]) })
	run("Invalidate that cannot tell says so", 2, func(t *testing.T, m []*member) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m[0].Invalidate(ctx, corral.Target{Keys: []string{"a"}}); !errors.Is(err, corral.ErrNotAcknowledged) {
			t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrNotAcknowledged)
		}
	})
	for _, row := range []struct {
		name   string
		target corral.Target
	}{
		{"key", corral.Target{Keys: []string{"a"}}},
		{"tag", corral.Target{Tags: []string{"x"}}},
		{"prefix", corral.Target{Prefixes: []string{"b", "a"}}},
		{"all", corral.Target{All: true}},
		{"key, a soft one,", corral.Target{Keys: []string{"a"}, Soft: true}},
		{"all, a soft one,", corral.Target{All: true, Soft: true}},
	} {
		name, target := row.name, row.target
		var needs []Weakness // not to have, for what this target asks
		if len(target.Keys) == 0 {
			needs = []Weakness{KeysOnly}
		}
		unless(needs, "who asks after an invalidation by "+name+" is not given what was kept", 2, func(t *testing.T, m []*member) {
			fill(t, m[0], m[0].lease(t, "a"), &corral.Record{Value: []byte("old"), BodySize: -1, Revision: m[0].revision(), TTL: time.Hour, Tags: []string{"x"}})
			m[0].invalidate(t, target)
			m[1].lease(t, "a")
		})
		unless(append(needs, KeepsLateFills), "who asks after an invalidation by "+name+" is not given what was begun before", 3, func(t *testing.T, m []*member) {
			begun := m[0].revision()
			lease, before := m[0].lease(t, "a"), m[1].park(t, s, "a")
			m[0].invalidate(t, target)
			after := m[2].join(deadline(t), m[2].request("a"))
			s.settle()
			fill(t, m[0], lease, &corral.Record{Value: []byte("old"), BodySize: -1, Revision: begun, TTL: time.Hour, Tags: []string{"x"}})
			if got := want(t, before, corral.AnswerValue).Record; string(got.Value) != "old" {
				t.Fatalf("who asked before was given %q, want %q", got.Value, "old")
			}
			want(t, after, corral.AnswerLease)
		})
	}
	run("Watch ends with its context", 1, func(t *testing.T, m []*member) {
		m[0].stop()
		if err := receive(t, m[0].ended); err == nil {
			t.Fatal("Watch returned nil; want why it ended")
		}
	})
}

func oneLease(t *testing.T, s suite, m []*member) {
	const askers = 10
	var mu sync.Mutex
	leases := 0
	var all sync.WaitGroup
	for _, p := range m {
		for range askers {
			all.Go(func() {
				answer, err := p.Join(deadline(t), p.request("a"))
				switch {
				case err != nil:
					t.Errorf("Join: %v", err)
				case answer.Kind == corral.AnswerLease:
					mu.Lock()
					leases++
					mu.Unlock()
					fill(t, p, answer.Lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
				case answer.Kind != corral.AnswerValue || string(answer.Record.Value) != "v":
					t.Errorf("Join gave kind %d, %+v; want the value", answer.Kind, answer.Record)
				}
			})
		}
	}
	all.Wait()
	if leases != 1 && !s.is(TwoLeases) || leases == 0 {
		t.Fatalf("%d leases were granted, want 1", leases)
	}
}

func recordsArrive(t *testing.T, s suite, m []*member) {
	lease, parked := m[0].lease(t, "a"), m[1].join(deadline(t), m[1].request("a"))
	filled := corral.Record{
		Value: []byte("v\x00\xff"), BodySize: -1, Revision: m[0].revision(), Age: time.Second, TTL: time.Hour, StaleFor: 2 * time.Hour,
		StaleOnError: 3 * time.Hour, StaleOnOutage: 4 * time.Hour, EarlyRefresh: 1.5, Cost: 70 * time.Millisecond, Tags: []string{"x", "y"}, Validator: `"e"`,
	}
	copied := filled
	fill(t, m[0], lease, &copied)
	got := want(t, parked, corral.AnswerValue).Record
	if string(got.Value) != string(filled.Value) || got.Body != nil || got.Revision != filled.Revision && !s.is(Unheard) || got.Outcome != corral.Keep ||
		got.StaleFor != filled.StaleFor || got.StaleOnError != filled.StaleOnError || got.StaleOnOutage != filled.StaleOnOutage || got.EarlyRefresh != filled.EarlyRefresh ||
		got.Cost != filled.Cost || !slices.Equal(got.Tags, filled.Tags) || got.Validator != filled.Validator ||
		got.Age < filled.Age || got.Age > filled.Age+patience || got.TTL > filled.TTL || got.TTL < filled.TTL-patience {
		t.Fatalf("got  %+v\nwant %+v", got, filled)
	}
}

func holdersAreTold(t *testing.T, s suite, m []*member) {
	lease, unwanted := m[0].lease(t, "a"), make(chan bool, 2)
	ctx, cancel := context.WithCancel(deadline(t))
	first, second := m[1].join(ctx, m[1].request("a")), m[2].join(ctx, m[2].request("a"))
	wantNothing(t, s, first)
	lease.Leave(func() { unwanted <- true })
	wantNothing(t, s, unwanted)
	cancel()
	receive(t, first)
	receive(t, second)
	receive(t, unwanted)
	fill(t, m[0], lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour}) // nothing has ended it
	wantNothing(t, s, unwanted)
}

func leasesGoOn(t *testing.T, s suite, m []*member, end func(corral.Lease)) {
	lease := m[0].lease(t, "a")
	first := m[1].join(deadline(t), m[1].request("a"))
	second := m[2].join(deadline(t), m[2].request("a"))
	end(lease)
	if !s.is(Unfenced) {
		if err := lease.Fill(deadline(t), &corral.Record{Value: []byte("late"), BodySize: -1, TTL: time.Hour}); err == nil {
			t.Error("Fill of a lease that had gone on was acknowledged")
		}
	}
	holder, other := m[1], second
	var answer joined
	select {
	case answer = <-first:
	case answer = <-second:
		holder, other = m[2], first
	case <-time.After(patience):
		t.Fatal("nobody was granted the lease that was lost")
	}
	if answer.err != nil || answer.Kind != corral.AnswerLease {
		t.Fatalf("Join gave kind %d, %v; want a lease", answer.Kind, answer.err)
	}
	fill(t, holder, answer.Lease, &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour})
	switch got := receive(t, other); {
	case s.is(TwoLeases) && got.Kind == corral.AnswerLease:
		if err := got.Lease.Abandon(deadline(t)); err != nil {
			t.Errorf("Abandon: %v", err)
		}
	case got.err != nil || got.Kind != corral.AnswerValue || string(got.Record.Value) != "v":
		t.Fatalf("Join gave kind %d, %v; want the value %q", got.Kind, got.err, "v")
	}
}

func watchesAgree(t *testing.T, m []*member) {
	const each = 20
	var all sync.WaitGroup
	for i, p := range m {
		all.Go(func() {
			for n := range each {
				p.invalidate(t, corral.Target{Keys: []string{fmt.Sprintf("%d-%d", i, n)}})
			}
		})
	}
	all.Wait()
	reference := m[0].seen()
	for i, p := range m {
		seen := p.seen()
		var last uint64
		count := map[string]int{}
		for _, inv := range seen {
			if inv.Revision <= last {
				t.Fatalf("process %d saw revision %d after %d", i, inv.Revision, last)
			}
			last = inv.Revision
			for _, key := range inv.Keys {
				count[key]++
			}
		}
		for j := range m {
			for n := range each {
				if key := fmt.Sprintf("%d-%d", j, n); count[key] != 1 {
					t.Fatalf("process %d saw the invalidation of %q %d times, want once", i, key, count[key])
				}
			}
		}
		if last != reference[len(reference)-1].Revision {
			t.Fatalf("process %d ends at revision %d, process 0 at %d", i, last, reference[len(reference)-1].Revision)
		}
	}
}

// A member is a process of a suite: a coordinator and its Watch.
type member struct {
	corral.Coordinator
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	applied []corral.Invalidation
	gate    chan struct{} // nil: open

	shelf *shelf // of a Keeper; nil otherwise
}

// enrol begins the Watch of every process and waits until all see what is
// invalidated.
func enrol(t *testing.T, s suite, processes []corral.Coordinator) []*member {
	t.Helper()
	members := make([]*member, len(processes))
	for i, process := range processes {
		ctx, cancel := context.WithCancel(t.Context())
		m := &member{Coordinator: process, stop: cancel, ended: make(chan error, 1)}
		m.attach(t)
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			m.ended <- m.Watch(ctx, m.apply)
		}()
		t.Cleanup(func() { cancel(); <-returned })
		members[i] = m
	}
	ctx := deadline(t)
	telling := members[:1]
	if s.is(Unheard) {
		telling = members
	}
	for slices.ContainsFunc(members, func(m *member) bool { return !m.saw("enrol") }) {
		for _, m := range telling {
			if err := m.Invalidate(ctx, corral.Target{Keys: []string{"enrol"}}); err != nil {
				t.Fatalf("Invalidate: %v", err)
			}
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			t.Fatalf("not every process sees what is invalidated: %v", err)
		}
	}
	return members
}

func (m *member) apply(inv corral.Invalidation) {
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = append(m.applied, inv)
	if m.shelf != nil {
		m.shelf.apply(inv)
	}
}

// hold makes the callback wait until release.
func (m *member) hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gate := make(chan struct{})
	m.gate = gate
	return func() { close(gate) }
}

func (m *member) seen() []corral.Invalidation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.applied)
}

func (m *member) saw(key string) bool {
	return slices.ContainsFunc(m.seen(), func(inv corral.Invalidation) bool { return slices.Contains(inv.Keys, key) })
}

// revision is what the process has applied.
func (m *member) revision() uint64 {
	seen := m.seen()
	return seen[len(seen)-1].Revision
}

func (m *member) request(key string) corral.Request {
	return corral.Request{Key: key, Revision: m.revision(), Wait: patience, Behind: func() []corral.Lease { return nil }}
}

// lapsed is the request of a process that may not answer.
func (m *member) lapsed(key string) corral.Request {
	request := m.request(key)
	request.Lapsed = true
	return request
}

func (m *member) invalidate(t *testing.T, target corral.Target) {
	t.Helper()
	if err := m.Invalidate(deadline(t), target); err != nil {
		t.Errorf("Invalidate %+v: %v", target, err)
	}
}

// joined is what a Join came to.
type joined struct {
	corral.Answer
	err error
}

func (m *member) join(ctx context.Context, request corral.Request) <-chan joined {
	answer := make(chan joined, 1)
	go func() {
		got, err := m.Join(ctx, request)
		answer <- joined{got, err}
	}()
	return answer
}

// lease joins and wants a lease.
func (m *member) lease(t *testing.T, key string) corral.Lease {
	t.Helper()
	return want(t, m.join(deadline(t), m.request(key)), corral.AnswerLease).Lease
}

// park joins and wants no answer yet.
func (m *member) park(t *testing.T, s suite, key string) <-chan joined {
	t.Helper()
	answer := m.join(deadline(t), m.request(key))
	wantNothing(t, s, answer)
	return answer
}

func want(t *testing.T, answer <-chan joined, kind corral.AnswerKind) corral.Answer {
	t.Helper()
	got := receive(t, answer)
	if got.err != nil || got.Kind != kind {
		t.Fatalf("Join gave kind %d, %v; want kind %d", got.Kind, got.err, kind)
	}
	return got.Answer
}

// receive waits for what a channel brings, or for its end.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case got := <-from:
		return got
	case <-timer.C:
		t.Fatalf("nothing came for %v", patience)
		panic("unreachable")
	}
}

// wantNothing fails when something has come once all is settled.
func wantNothing[T any](t *testing.T, s suite, from <-chan T) {
	t.Helper()
	s.settle()
	select {
	case got := <-from:
		t.Fatalf("%+v came too early", got)
	default:
	}
}

func fill(t *testing.T, m *member, lease corral.Lease, record *corral.Record) {
	t.Helper()
	if record.Revision == 0 {
		record.Revision = m.revision()
	}
	if keeper, ok := m.Coordinator.(corral.Keeper); ok && keeper.Owns("a") { // where a cache would keep it
		m.shelf.fill(t, "a", record)
	}
	if err := lease.Fill(deadline(t), record); err != nil {
		t.Errorf("Fill: %v", err)
	}
}
