package corral_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// F12b in virtual time: a process was away while something was invalidated, and
// comes back with what it had stored.
func TestAProcessThatComesBackServesFromItsStoreWhatTheLogVouchesFor(t *testing.T) {
	for _, row := range []struct {
		name      string
		reaches   bool // the log, back to what is stored
		kept      corral.Source
		validated string
	}{
		{"the log reaches back", true, corral.Stored, ""},
		{"it does not", false, corral.Remote, "goneold"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, store := corraltest.NewDomain(), new(corraltest.Store)
				version, validated := "old", ""
				process := func(c corral.Coordinator, s corral.Store) *corral.Cache[string] {
					load := func(_ context.Context, key string, prev *corral.Item[string]) (corral.Item[string], error) {
						if prev != nil {
							validated = prev.Value
						}
						return corral.Item[string]{Value: key + version, Validator: "e"}, nil
					}
					cache := opened(t, corral.LoaderFunc[string](load), corral.Options[string]{
						Name: "test", TTL: time.Hour, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Now: time.Now, Coordinator: c, Store: s,
					})
					synctest.Wait()
					return cache
				}
				since := d.Revision()
				away := d.Process("a")
				a, b := process(away, store), process(d.Process("b"), nil)
				for _, key := range []string{"gone", "kept"} {
					getFrom(a, t.Context(), key).want(t, key+"old", corral.Loaded, 0)
				}
				synctest.Wait()
				away.Leave()
				version = "new"
				if err := b.Invalidate(t.Context(), "gone"); err != nil {
					t.Fatal(err)
				}
				if !row.reaches {
					since = d.Revision()
				}
				back := process(d.ProcessSince("a", since), store)
				getFrom(back, t.Context(), "gone").want(t, "gonenew", corral.Loaded, 0)
				getFrom(back, t.Context(), "kept").want(t, "keptold", row.kept, 0)
				if validated != row.validated {
					t.Errorf("a load was given %q to validate, want %q", validated, row.validated)
				}
			})
		})
	}
}
