package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// build makes the program of the service.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "popular-posts")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "..").CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	return path
}

// A row of the table that run prints.
type row struct {
	queries, errors int
}

// rows reads the rows of both scenes.
func rows(t *testing.T, printed string) (cold, expiry map[string]row) {
	t.Helper()
	cold, expiry = map[string]row{}, map[string]row{}
	into := cold
	for line := range strings.Lines(printed) {
		var r row
		var strategy, p50, p99, oldest string
		var commands int64
		if strings.Contains(line, "expires in the middle") {
			into = expiry
		}
		if n, _ := fmt.Sscan(line, &strategy, &r.queries, &p50, &p99, &r.errors, &oldest, &commands); n == 7 {
			into[strategy] = r
		}
	}
	return cold, expiry
}

// With real servers and processes, as in the demo, smaller.
func TestWithCorralPostgreSQLCountsOneQueryAndWithoutItMany(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{
		"-service", build(t), "-logs", t.TempDir(), "-strategies", "cache-aside,corral",
		"-processes", "2", "-callers", "40", "-likes", "50000", "-ttl", "2s", "-give-up", "1m",
	}, &out, io.Discard)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	cold, expiry := rows(t, out.String())
	for _, scene := range []map[string]row{cold, expiry} {
		if len(scene) != 2 {
			t.Errorf("rows %v, want two in each scene", scene)
		}
		for strategy, r := range scene {
			if r.errors != 0 {
				t.Errorf("%s: %d errors", strategy, r.errors)
			}
		}
		if r := scene["corral"]; r.queries != 1 {
			t.Errorf("corral: %d queries, want 1", r.queries)
		}
	}
	if r := cold["cache-aside"]; r.queries < 10 {
		t.Errorf("cache-aside: %d queries of 40 callers at once, want many", r.queries)
	}
}

func TestPercentilesAreNearestRank(t *testing.T) {
	r := newResult(10)
	for i := range 10 {
		r.add(i, time.Duration(10-i)*time.Second, 0, nil)
	}
	for percent, want := range map[int]time.Duration{0: time.Second, 50: 5 * time.Second, 51: 6 * time.Second, 90: 9 * time.Second, 99: 10 * time.Second, 100: 10 * time.Second} {
		if got := r.percentile(percent); got != want {
			t.Errorf("percentile(%d) of 1 s to 10 s = %v, want %v", percent, got, want)
		}
	}
}

func TestTheClaimIsOneQueryAndAnAnswerForAll(t *testing.T) {
	r := newResult(2)
	r.queries = 1
	r.add(0, time.Second, time.Second, nil)
	if err := r.check("corral", 2); err != nil {
		t.Errorf("check = %v, want nil", err)
	}
	r.add(1, time.Second, time.Second, errors.New("status 503"))
	if err := r.check("corral", 2); err == nil || !strings.Contains(err.Error(), "status 503") {
		t.Errorf("check of an error = %v", err)
	}
	if err := r.check("cache-aside", 2); err != nil {
		t.Errorf("check of what nothing is claimed of = %v, want nil", err)
	}
	r = newResult(2)
	r.queries = 2
	if err := r.check("corral-stale", 2); err == nil {
		t.Error("check passes with two queries")
	}
}

func TestRunRefusesWhatItCannotUse(t *testing.T) {
	for _, args := range [][]string{{"-callers", "0"}, {"-processes", "-1"}, {"-likes", "0"}, {"-what"}, {"-logs", "/dev/null/x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) = nil", args)
		}
	}
}
