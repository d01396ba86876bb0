package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
)

func TestMain(m *testing.M) {
	if child.Role() != "" {
		os.Exit(serveChild(os.Stderr))
	}
	os.Exit(m.Run())
}

func TestASmokeRunOfEveryRowHoldsWhatIsAsserted(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for half a minute")
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick"}, &out); err != nil {
		t.Fatalf("store -quick: %v, want nil. It printed:\n%s", err, &out)
	}
	for _, r := range rows {
		if !strings.Contains(out.String(), "\n"+r.Name+": ") {
			t.Errorf("row %s is missing from what was printed:\n%s", r.Name, &out)
		}
	}
}

func TestARowThatDoesNotExistIsRefusedWithTheNamesOfThoseThatDo(t *testing.T) {
	err := run(t.Context(), []string{"-rows", "cold,dragonfly"}, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), `-rows "dragonfly"`) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("run -rows cold,dragonfly = %v, want an error that names it and those that exist", err)
	}
}

func TestEveryCallerOfABurstIsOneShopsAndDueInItsTurn(t *testing.T) {
	at := time.Unix(1, 0)
	for _, row := range []struct{ callers, of int }{{1, 4}, {4, 4}, {10, 4}, {800, 4}, {75, 3}} {
		due := make(map[time.Time]int)
		for index := range row.of {
			b := Burst{Callers: row.callers, At: at, Over: time.Duration(row.callers) * time.Millisecond, Index: index, Of: row.of}
			for i := range b.part() {
				due[b.due(i)]++
			}
		}
		for i := range row.callers {
			if when := at.Add(time.Duration(i) * time.Millisecond); due[when] != 1 {
				t.Errorf("%d callers at %d shops: %d are due at %v, want 1", row.callers, row.of, due[when], when)
			}
		}
	}
}

func TestOfTwoCountsOfCommandsTheDifferenceIsWhatHasGrown(t *testing.T) {
	got := listed(difference(map[string]int64{"get": 12, "set": 1, "ping": 7, "del": 1}, map[string]int64{"get": 2, "ping": 7}))
	if want := "get 10, del 1, set 1"; got != want {
		t.Errorf("the difference is %q, want %q", got, want)
	}
}
