package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral/examples/internal/child"
)

func TestABurstSendsAllRequestsAtOnceAndCountsWhatCameBack(t *testing.T) {
	const clients = 20
	var arrived atomic.Int32
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := arrived.Add(1)
		if n == clients {
			close(all)
		}
		<-all // nobody is answered before all have come
		switch {
		case n <= 5:
			w.WriteHeader(http.StatusServiceUnavailable)
		case n == 6:
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, n%2)
		}
	}))
	defer server.Close()
	r := burst(t.Context(), []string{server.URL}, clients)
	if r.answered != 14 || len(r.bodies) != 2 || r.errors["status 503"] != 5 || len(r.errors) != 2 || len(r.latencies) != clients {
		t.Errorf("burst = %+v; want 14 answers of 2 kinds, 5 times 503, and one more error", r)
	}
	if r.wall < r.latencies[0] || r.latencies[clients-1] > r.wall || r.latencies[0] <= 0 {
		t.Errorf("wall time %v, latencies %v to %v", r.wall, r.latencies[0], r.latencies[clients-1])
	}
}

func TestOriginCallsAreThoseOfTheBurst(t *testing.T) {
	count := 7 // calls before
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+product, func(http.ResponseWriter, *http.Request) { count++ })
	mux.HandleFunc("GET /debug/calls", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{%q: {"count": %d}}`, r.FormValue("path"), count)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	r, err := compare(t.Context(), server.URL, []string{server.URL}, 1)
	if err != nil || r.originCalls != 1 {
		t.Errorf("compare = %+v, %v; want 1 origin call", r, err)
	}
}

func TestPercentilesAreNearestRank(t *testing.T) {
	r := result{}
	for i := range 10 {
		r.latencies = append(r.latencies, time.Duration(i+1)*time.Second)
	}
	for part, want := range map[float64]time.Duration{0: time.Second, 0.5: 5 * time.Second, 0.51: 6 * time.Second, 0.9: 9 * time.Second, 0.99: 10 * time.Second, 1: 10 * time.Second} {
		if got := r.percentile(part); got != want {
			t.Errorf("percentile(%v) of 1 s to 10 s = %v, want %v", part, got, want)
		}
	}
}

func TestTheClaimIsOneCallAndOneAnswerForAll(t *testing.T) {
	good := result{originCalls: 1, answered: 3, bodies: map[string]bool{"mug": true}, latencies: make([]time.Duration, 3)}
	if err := check(good); err != nil {
		t.Errorf("check(%+v) = %v, want nil", good, err)
	}
	for name, spoil := range map[string]func(*result){
		"no call":     func(r *result) { r.originCalls = 0 },
		"two calls":   func(r *result) { r.originCalls = 2 },
		"an error":    func(r *result) { r.answered = 2 },
		"two answers": func(r *result) { r.bodies = map[string]bool{"mug": true, "cup": true} },
	} {
		bad := good
		spoil(&bad)
		if check(bad) == nil {
			t.Errorf("check passes with %s", name)
		}
	}
}

func TestTheTable(t *testing.T) {
	var out strings.Builder
	direct := result{name: "directly", originCalls: 4, answered: 1, errors: map[string]int{"reset": 1, "status 503": 2},
		latencies: []time.Duration{100 * time.Millisecond, time.Second, 2 * time.Second, 3*time.Second + 456*time.Millisecond}, wall: 4 * time.Second}
	corral := result{name: "through Corral", originCalls: 1, answered: 4,
		latencies: []time.Duration{time.Millisecond, 1234567, 2 * time.Millisecond, 3 * time.Millisecond}, wall: 100 * time.Millisecond}
	printTable(&out, direct, corral)
	want := `
                        directly  through Corral
  requests                     4               4
  origin calls                 4               1
  answered                     1               4
  errors                       3               0
  p50 latency                 1s          1.23ms
  p90 latency              3.46s             3ms
  p99 latency              3.46s             3ms
  max latency              3.46s             3ms
  wall time                   4s           100ms

Errors directly: 2 × status 503, 1 × reset

Through Corral: 1/4 of the origin calls, 1/40 of the time.
`
	if out.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestAChildThatEndsByItselfEndsTheDemo(t *testing.T) {
	c, err := child.Start(t.Context(), t.TempDir(), "child", "/bin/sh", "-c", "echo 'shop: listening on http://a'; echo crash; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{out: io.Discard}
	if err := d.wait(t.Context(), c); err == nil || !strings.Contains(err.Error(), "crash") {
		t.Errorf("wait = %v, want the child's last words", err)
	}
}

func TestATakenPortIsReplaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if got := free(address); got != "127.0.0.1:0" {
		t.Errorf("free(%s) = %s while it is taken", address, got)
	}
	l.Close()
	if got := free(address); got != address {
		t.Errorf("free(%s) = %s when it is free", address, got)
	}
}

func TestRunRefusesWhatItCannotUse(t *testing.T) {
	for _, args := range [][]string{{"-clients", "0"}, {"-what"}, {"extra"}, {"-logs", "/dev/null/x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) = nil", args)
		}
	}
}
