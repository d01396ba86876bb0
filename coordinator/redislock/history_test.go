package redislock

import (
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// L8: a process that comes later knows what was invalidated before.
func TestAProcessThatComesLaterKnowsWhatWasInvalidated(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		target corral.Target
		free   string // a key that it does not concern
	}{
		{"a tag", corral.Target{Tags: []string{"x"}}, "b"},
		{"a prefix", corral.Target{Prefixes: []string{"a"}}, "b"},
		{"everything", corral.Target{All: true}, ""},
		{"more prefixes than are remembered", corral.Target{Prefixes: prefixes(maxPrefixes + 1)}, ""},
		{"as many as are remembered", corral.Target{Prefixes: append(prefixes(maxPrefixes-1), "a")}, "b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, a, _ := pair(t)
			begun := a.newest()
			if err := leaseOf(t, a, "a").Fill(t.Context(), at(begun, "x")); err != nil {
				t.Fatal(err)
			}
			if err := leaseOf(t, a, "b").Fill(t.Context(), at(begun, "y")); err != nil {
				t.Fatal(err)
			}
			if err := a.Invalidate(t.Context(), row.target); err != nil {
				t.Fatal(err)
			}
			late := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
			r := requestAt(late.newest())
			wants(t, joining(t, late, r), corral.AnswerLease)
			if r.Key = row.free; r.Key != "" {
				wants(t, joining(t, late, r), corral.AnswerValue)
			}
		})
	}
}

func prefixes(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("p", i, "/")
	}
	return list
}

// Whoever Redis has forgotten is waited for: they may still answer from memory.
func TestAnInvalidationWaitsForProcessesThatRedisHasForgotten(t *testing.T) {
	t.Parallel()
	server, a, _ := pair(t)
	if _, err := server.Do(t.Context(), "DEL", "{corral:}live"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < presence-100*time.Millisecond || took > 3*presence {
		t.Fatalf("acknowledged after %v, want %v", took, presence)
	}
}

func TestAnInvalidationOfAFreshRedisWaitsForNobody(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	a := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
	began := time.Now()
	if err := a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); err != nil || time.Since(began) > presence/2 {
		t.Fatalf("acknowledged after %v, %v", time.Since(began), err)
	}
}
