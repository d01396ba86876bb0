package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

// scripted has a server answer each connection's first request with bytes, and
// close it.
func scripted(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, answer)
		conn.Close()
	}
}

func TestWhatMayBeSentAgainIsByMethodAndByWhatCame(t *testing.T) {
	const (
		refuses = "refuses"
		early   = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
		half    = "HTTP/1.1 200 OK\r\nContent-Le"
		cut     = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"
		noise   = "noise\r\n\r\n"
	)
	for _, row := range []struct {
		method, body string
		getBody      bool
		first        string // what the first server does: "" closes without a byte
		again        bool
	}{
		{"GET", "", false, "", true},
		{"HEAD", "", false, "", true},
		{"OPTIONS", "", false, "", true},
		{"TRACE", "", false, "", true},
		{"DELETE", "", false, "", true},
		{"PUT", "", false, "", true},
		{"PUT", "x", true, "", true},
		{"PUT", "x", false, "", false},
		{"POST", "", false, "", false},
		{"POST", "x", true, "", false},
		{"PATCH", "x", true, "", false},
		{"PURGE", "", false, "", false},

		{"GET", "", false, refuses, true},
		{"PUT", "x", false, refuses, true},
		{"POST", "", false, refuses, true},
		{"POST", "x", true, refuses, true},
		{"POST", "x", false, refuses, true},
		{"PATCH", "x", false, refuses, true},

		{"GET", "", false, early, false},
		{"GET", "", false, half, false},
		{"GET", "", false, noise, false},
		{"GET", "", false, cut, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, "a", "b")
			if f.host("a").does(scripted(row.first)); row.first == refuses {
				f.host("a").refuse(true)
			}
			f.host("b").does(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if string(body) != row.body || err != nil {
					t.Errorf("%s: the second server got the body %q, %v; want %q", row.method, body, err, row.body)
				}
			})
			p := f.pool(nil)
			r := request(row.method, "/", nil, "Idempotency-Key", "k", "X-Idempotency-Key", "k")
			closer := &closing{Reader: strings.NewReader(row.body)}
			if row.body != "" {
				r.Body = closer
			}
			if row.getBody {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(row.body)), nil }
			}
			g := send(p, r)
			what := fmt.Sprintf("%s %q (GetBody: %v) after %q", row.method, row.body, row.getBody, row.first)
			if again := len(f.host("b").calls()) == 1; again != row.again {
				t.Errorf("%s was sent again: %v, want %v", what, again, row.again)
			}
			if row.again != (g.err == nil) {
				t.Errorf("%s: error %v", what, g.err)
			}
			synctest.Wait()
			if row.body != "" && closer.times != 1 {
				t.Errorf("%s: the body was closed %d times, want once", what, closer.times)
			}
			for _, s := range p.Stats().Servers {
				if s.InFlight != 0 {
					t.Errorf("%s: %d in flight at %s after the end", what, s.InFlight, s.URL)
				}
			}
		})
	}
}

func TestAMethodThatIsNotIdempotentIsNotRepeatedForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		p := f.pool(nil)
		get(p, "/").want(t, 200, "a") // leaves a connection that is kept
		f.host("a").want(t, "GET shop.test/")
		var fields http.Header
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			fields = r.Header
			hangUp(w, r)
		})
		if g := send(p, request("POST", "/", nil, "Idempotency-Key", "k", "X-Idempotency-Key", "l")); g.err == nil {
			t.Fatalf("got %d", g.status)
		}
		f.host("a").want(t, "POST shop.test/")
		if fields.Get("Idempotency-Key") != "k" || fields.Get("X-Idempotency-Key") != "l" {
			t.Fatalf("the server got %v", fields)
		}
	})
}

func TestARequestDoesNotWalkOverAllConnectionsThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			method  string
			retries int
			want    int
		}{
			{"GET", -1, 2}, // net/http's own repetition is on a new connection, and the last
			{"GET", 1, 2},
			{"GET", 2, 3},
			{"GET", 3, 4},
			{"POST", 3, 1},
		} {
			f := newFleet(t, "a")
			f.host("a").does(slowly(time.Second, text("a")))
			p := f.pool(func(o *upstream.Options) { o.Retries = row.retries })
			var kept []<-chan got
			for range 20 {
				kept = append(kept, begin(p, "/"))
			}
			for _, g := range kept {
				(<-g).want(t, 200, "a")
			}
			synctest.Wait()
			f.host("a").calls()
			f.host("a").does(hangUp)
			if g := send(p, request(row.method, "/death", nil)); g.err == nil {
				t.Fatalf("got %d", g.status)
			}
			if got := len(f.host("a").calls()); got != row.want {
				t.Errorf("%s with %d retries: the server got it %d times, want %d", row.method, row.retries, got, row.want)
			}
		}
	})
}

func TestABodyThatNobodyTookIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		f.host("b").refuse(true)
		body := &closing{Reader: strings.NewReader("x")}
		if g := send(f.pool(nil), request("POST", "/", body)); g.err == nil || body.times != 1 {
			t.Errorf("all refuse: error %v, body closed %d times, want once", g.err, body.times)
		}

		f = newFleet(t, "a")
		f.host("a").does(status(417, "a"))
		body = &closing{Reader: strings.NewReader("x")}
		r := request("PUT", "/", body, "Expect", "100-continue")
		send(f.pool(nil), r).want(t, 417, "a")
		synctest.Wait()
		if body.times != 1 {
			t.Errorf("not wanted: body closed %d times, want once", body.times)
		}
	})
}

func TestABodyMayBeSentOnAfterTheAnswerHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		f.host("b").does(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			w.(http.Flusher).Flush()
			io.Copy(w, r.Body)
		})
		in, out := io.Pipe()
		res, err := f.pool(nil).RoundTrip(request("POST", "/", in)) // at a, and then at b
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		go func() {
			defer out.Close()
			if _, err := io.WriteString(out, "later"); err != nil {
				t.Errorf("the body was closed: %v", err)
			}
		}()
		if got, err := io.ReadAll(res.Body); string(got) != "later" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
	})
}

func TestTheOnlyServerIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			f.host("a").does(text("a"))
			hangUp(w, r)
		})
		get(f.pool(nil), "/").want(t, 200, "a")
	})
}

func TestRetriesGoToServersThatWereNotTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, policy := range []upstream.Policy{upstream.LeastRequests, upstream.RoundRobin, upstream.Hash} {
			f := newFleet(t, "a", "b", "c", "d")
			for _, name := range f.names {
				f.host(name).does(hangUp)
			}
			p := f.pool(func(o *upstream.Options) { o.Policy, o.Retries = policy, 3 })
			get(p, "/")
			for _, name := range f.names {
				f.host(name).want(t, "GET shop.test/")
			}
		}
	})
}

func TestRetriesEndWithTheirNumberAndTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct{ retries, want int }{{0, 2}, {-1, 1}, {1, 2}, {2, 3}, {5, 6}} {
			f := newFleet(t, "a")
			f.host("a").does(hangUp)
			get(f.pool(func(o *upstream.Options) { o.Retries = row.retries }), "/")
			if got := len(f.host("a").calls()); got != row.want {
				t.Errorf("with Retries %d the server got the request %d times, want %d", row.retries, got, row.want)
			}
		}
		f := newFleet(t, "a")
		f.host("a").does(hangUp)
		p := f.pool(nil)
		for range 150 {
			get(p, "/")
		}
		// A tenth of the requests up to each, and at least ten.
		if got := len(f.host("a").calls()); got != 165 {
			t.Errorf("150 requests in one second were sent %d times, want 165", got)
		}
		if s := p.Stats(); s.Servers[0].Retries != 15 || s.Denied != 135 {
			t.Errorf("Stats = %+v, want 15 retries and 135 denied", s)
		}
	})
}

func TestNothingIsSentAgainAfterTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		ctx, cancel := context.WithCancel(t.Context())
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			hangUp(w, r)
		})
		p := f.pool(nil)
		g := send(p, request("GET", "/", nil).WithContext(ctx))
		if s := p.Stats(); g.err == nil || s.Servers[1].Requests != 0 {
			t.Fatalf("got %d, error %v, and Stats = %+v; want an error and no retry", g.status, g.err, s)
		}
	})
}

func TestARetryDoesNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		f.host("b").does(slowly(time.Second, text("b")))
		p := f.pool(func(o *upstream.Options) { o.MaxRequests = 1 })
		first := begin(p, "/") // at a, and then at b
		g := get(p, "/")
		if op := (*net.OpError)(nil); !errors.As(g.err, &op) || g.at != 0 {
			t.Fatalf("error %v after %v, want that of the dial at once", g.err, g.at)
		}
		(<-first).want(t, 200, "b")

		f = newFleet(t, "a", "b")
		f.host("a").refuse(true)
		p = f.pool(func(o *upstream.Options) { o.Rate, o.Burst = 1, 1 })
		if g := get(p, "/"); g.err == nil || g.at != 0 {
			t.Fatalf("beyond Rate: error %v after %v, want that of the dial at once", g.err, g.at)
		}
	})
}

func TestAStatusIsTriedElsewhereIfThatIsAskedFor(t *testing.T) {
	for _, row := range []struct {
		on     bool
		method string
		answer http.HandlerFunc
		want   string
	}{
		{true, "GET", status(502, "a"), "b"},
		{true, "GET", status(503, "a"), "b"},
		{true, "GET", status(504, "a"), "b"},
		{true, "GET", status(500, "a"), "a"},
		{true, "GET", status(429, "a"), "a"},
		{true, "GET", status(200, "a"), "a"},
		{true, "GET", status(503, "a", "Retry-After", "1"), "a"},
		{true, "POST", status(503, "a"), "a"},
		{false, "GET", status(503, "a"), "a"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, "a", "b")
			f.host("a").does(row.answer)
			p := f.pool(func(o *upstream.Options) { o.RetryStatuses = row.on })
			g := send(p, request(row.method, "/", nil))
			if g.err != nil || g.body != row.want {
				t.Errorf("%s: answered by %q with %d, error %v; want %q", row.method, g.body, g.status, g.err, row.want)
			}
			for _, s := range p.Stats().Servers {
				if s.InFlight != 0 || s.Failures != 0 {
					t.Errorf("Stats of %s = %+v, want none in flight and no failures", s.URL, s)
				}
			}
		})
	}
}

func TestAStatusIsGivenToTheClientIfNobodyElseHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(status(503, "a"))
		on := func(o *upstream.Options) { o.RetryStatuses, o.Retries = true, 5 }
		get(f.pool(on), "/").want(t, 503, "a")
		f.host("a").want(t, "GET shop.test/")

		f = newFleet(t, "a", "b")
		f.host("a").does(status(503, "a"))
		f.host("b").does(slowly(time.Second, text("b")))
		p := f.pool(func(o *upstream.Options) {
			on(o)
			o.MaxRequests = 1
		})
		first := begin(p, "/") // at a, and then at b
		get(p, "/").wantAt(t, 0, 503, "a")
		(<-first).want(t, 200, "b")

		f = newFleet(t, "a", "b")
		f.host("a").does(status(503, "a"))
		f.host("b").does(status(504, "b"))
		get(f.pool(on), "/").want(t, 504, "b")
		f.host("a").want(t, "GET shop.test/")
		f.host("b").want(t, "GET shop.test/")
	})
}

func TestAServerThatHangsIsReplacedAfterHeaderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h2 := range []bool{false, true} {
			f := newFleet(t, "a", "b")
			f.host("a").does(slowly(time.Hour, text("a")))
			p := f.pool(func(o *upstream.Options) {
				o.HeaderTimeout, o.HTTP2Cleartext, o.EjectAfter = 2*time.Second, h2, 1
			})
			get(p, "/").wantAt(t, 2*time.Second, 200, "b")
			if s := p.Stats().Servers[0]; s.Failures != 1 || s.Healthy {
				t.Errorf("HTTP/2: %v: Stats = %+v, want one failure", h2, s)
			}
		}
	})
}

func TestAServerIsBlamedForTimeoutsAndNotForClientsThatLeave(t *testing.T) {
	errSlow := errors.New("too slow")
	for _, row := range []struct {
		name  string
		cause error
		body  io.Reader
		blame bool
	}{
		{"a deadline", context.DeadlineExceeded, nil, true},
		{"a client that leaves", context.Canceled, nil, false},
		{"a cause of the caller's", fmt.Errorf("it was %w", errSlow), nil, true},
		{"an unknown cause", errors.New("other"), nil, false},
		{"a deadline after the content", context.DeadlineExceeded, strings.NewReader("x"), true},
		{"a deadline while the client sends", context.DeadlineExceeded, &stalled{}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, "a")
			f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				slowly(time.Hour, nothing)(w, r)
			})
			p := f.pool(func(o *upstream.Options) { o.EjectAfter, o.TimeoutCauses = 1, []error{errSlow} })
			ctx, cancel := context.WithCancelCause(t.Context())
			r := request("PUT", "/", row.body).WithContext(ctx)
			if s, ok := row.body.(*stalled); ok {
				s.ctx = ctx
			}
			time.AfterFunc(time.Second, func() { cancel(row.cause) })
			if g := send(p, r); !errors.Is(g.err, row.cause) || g.at != time.Second {
				t.Errorf("%s: error %v after %v", row.name, g.err, g.at)
			}
			if s := p.Stats().Servers[0]; s.Healthy == row.blame {
				t.Errorf("%s: Stats = %+v, blamed should be %v", row.name, s, row.blame)
			}
		})
	}
}

// stalled is the body of a client that sends too slowly.
type stalled struct{ ctx context.Context }

func (s *stalled) Read(p []byte) (int, error) {
	<-s.ctx.Done()
	return copy(p, "x"), nil
}

func TestEarlyHintsReachTheCallersTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</x>")
			w.WriteHeader(103)
			io.WriteString(w, "a")
		})
		var hints []int
		r := request("GET", "/", nil)
		send(f.pool(nil), r.WithContext(withHints(r.Context(), &hints))).want(t, 200, "a")
		if len(hints) != 1 || hints[0] != 103 {
			t.Fatalf("the trace got %v", hints)
		}
	})
}

func TestAConnectionThatSwitchesProtocolsIsGivenWhole(t *testing.T) {
	f := newFleet(t, "a")
	f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
		conn, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := in.ReadString('\n')
		io.WriteString(conn, "echo "+line)
	})
	p := f.pool(nil)
	res, err := p.RoundTrip(request("GET", "/", nil, "Connection", "Upgrade", "Upgrade", "echo"))
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("got %v, %v", res, err)
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body, a %T, cannot be written to", res.Body)
	}
	if n := p.Stats().Servers[0].InFlight; n != 1 {
		t.Fatalf("%d in flight while the connection is open, want 1", n)
	}
	io.WriteString(conn, "hello\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "echo hello\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	conn.Close()
	if n := p.Stats().Servers[0].InFlight; n != 0 {
		t.Fatalf("%d in flight after Close, want 0", n)
	}
}
