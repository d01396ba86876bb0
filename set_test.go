package corral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/corraltest"
)

// setting is a Keeper of a Domain that is a Setter: what its leases are filled
// with it notes.
type setting struct {
	*corraltest.Keeper
	d         *corraltest.Domain
	log       *corraltest.Log
	owns      bool
	refuses   error  // Overwrite
	drops     error  // Fill
	meanwhile func() // between the invalidation and the end of Overwrite
	filled    []corral.Record
}

func (s *setting) Owns(string) bool { return s.owns }

func (s *setting) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	if s.refuses != nil {
		return nil, 0, s.refuses
	}
	if err := s.Invalidate(ctx, corral.Target{Keys: []string{key}}); err != nil {
		return nil, 0, err
	}
	revision := s.d.Revision()
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return &setLease{s: s}, revision, nil
}

type setLease struct {
	corral.Lease // panics for what a Set does not use
	s            *setting
}

func (l *setLease) Fill(_ context.Context, r *corral.Record) error {
	l.s.filled = append(l.s.filled, *r)
	return l.s.drops
}

func (l *setLease) Abandon(context.Context) error {
	l.s.log.Add("abandoned")
	return nil
}

// openSetting opens a cache whose loads come to "loaded".
func openSetting(t *testing.T, c corral.Codec[string]) (*setting, *corral.Cache[string]) {
	t.Helper()
	s := &setting{d: corraltest.NewDomain(), log: new(corraltest.Log), owns: true}
	s.Keeper = s.d.Keeper("a")
	cache, err := corral.New(corral.Func(func(context.Context, string) (string, error) { return "loaded", nil }), corral.Options[string]{
		MaxBytes: 1 << 20, TTL: time.Hour, Jitter: -1, MaxTags: 1, Codec: c, Coordinator: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	if err := cache.Invalidate(t.Context(), "warm"); err != nil { // its Watch has begun
		t.Fatal(err)
	}
	return s, cache
}

func TestASetIsGivenToTheOwnerAsOfItsInvalidation(t *testing.T) {
	s, c := openSetting(t, codec.String{})
	if err := c.Set(t.Context(), "k", corral.Item[string]{Value: "set", Tags: []string{"t"}}); err != nil {
		t.Fatal(err)
	}
	if len(s.filled) != 1 {
		t.Fatalf("the lease was filled %d times", len(s.filled))
	}
	if r := s.filled[0]; string(r.Value) != "set" || r.Revision != s.d.Revision() || r.Outcome != corral.Keep || len(r.Tags) != 1 {
		t.Errorf("it was filled with %+v, want what was set at revision %d", r, s.d.Revision())
	}
	if item, _, ok := c.Peek("k"); !ok || item.Value != "set" {
		t.Errorf("the owner has %q, %v", item.Value, ok)
	}
}

func TestASetIsNotKeptWhereTheKeyIsNotOwned(t *testing.T) {
	s, c := openSetting(t, codec.String{})
	s.owns = false
	if err := c.Set(t.Context(), "k", corral.Item[string]{Value: "set"}); err != nil {
		t.Fatal(err)
	}
	if item, _, ok := c.Peek("k"); ok {
		t.Errorf("it has %q", item.Value)
	}
}

func TestASetDoesNotUndoALaterInvalidation(t *testing.T) {
	s, c := openSetting(t, codec.String{})
	s.meanwhile = func() {
		if err := s.Invalidate(t.Context(), corral.Target{Keys: []string{"k"}}); err != nil {
			t.Error(err)
		}
	}
	if err := c.Set(t.Context(), "k", corral.Item[string]{Value: "set"}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "k"); got != "loaded" || err != nil {
		t.Errorf("Get = %q, %v, want a load", got, err)
	}
}

func TestASetDoesNotReplaceALaterOne(t *testing.T) {
	s, c := openSetting(t, codec.String{})
	s.meanwhile = func() {
		s.meanwhile = nil
		if err := c.Set(t.Context(), "k", corral.Item[string]{Value: "later"}); err != nil {
			t.Error(err)
		}
	}
	if err := c.Set(t.Context(), "k", corral.Item[string]{Value: "set"}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "k"); got != "later" || err != nil {
		t.Errorf("Get = %q, %v, want the later one", got, err)
	}
}

var errCodec = errors.New("it cannot be encoded")

type brokenCodec struct{ codec.String }

func (brokenCodec) Encode(string) ([]byte, error) { return nil, errCodec }

func TestASetThatFailsLeavesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		item  corral.Item[string]
		codec corral.Codec[string]
		set   func(s *setting)
		want  error
		log   string // of the lease
	}{
		"nobody can be asked":              {set: func(s *setting) { s.refuses = corral.ErrUnavailable }, want: corral.ErrNotAcknowledged},
		"the owner does not take it":       {set: func(s *setting) { s.drops = errPort; s.owns = false }, want: corral.ErrNotAcknowledged},
		"it cannot be encoded":             {codec: brokenCodec{}, want: errCodec, log: "abandoned"},
		"it has too many tags":             {item: corral.Item[string]{Tags: []string{"a", "b"}}, set: func(s *setting) { s.refuses = errors.New("asked") }},
		"the key is not the coordinator's": {set: func(s *setting) { s.refuses = corral.ErrInvalidKey }, want: corral.ErrInvalidKey},
		"the coordinator's error stays":    {set: func(s *setting) { s.refuses = errPort }, want: errPort},
	} {
		t.Run(name, func(t *testing.T) {
			if row.codec == nil {
				row.codec = codec.String{}
			}
			s, c := openSetting(t, row.codec)
			if row.set != nil {
				row.set(s)
			}
			err := c.Set(t.Context(), "k", row.item)
			if err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("Set = %v, want %v", err, row.want)
			}
			if got := s.log.Take(); got != row.log {
				t.Errorf("the lease: %q, want %q", got, row.log)
			}
			if item, _, ok := c.Peek("k"); ok {
				t.Errorf("it has %q", item.Value)
			}
		})
	}
}

func TestExpireIsHeardEverywhere(t *testing.T) {
	d := corraltest.NewDomain()
	var caches []*corral.Cache[string]
	loads := 0
	for _, name := range []string{"a", "b"} {
		c, err := corral.New(corral.Func(func(context.Context, string) (string, error) { loads++; return "loaded", nil }), corral.Options[string]{
			MaxBytes: 1 << 20, TTL: time.Hour, Jitter: -1, Codec: codec.String{}, Coordinator: d.Keeper(name),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		caches = append(caches, c)
	}
	if err := caches[0].Invalidate(t.Context(), "another"); err != nil { // until all watch
		t.Fatal(err)
	}
	for _, c := range caches {
		if _, err := c.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	if err := caches[0].Expire(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	for i, c := range caches {
		if _, info, ok := c.Peek("k"); ok && info.Source == corral.Hit {
			t.Errorf("process %d has it as fresh", i)
		}
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
}
