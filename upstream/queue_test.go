package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

func TestRequestsBeyondMaxRequestsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, text("a")))
		p := f.pool(func(o *upstream.Options) { o.MaxRequests, o.MaxQueued = 1, 2 })
		first, second, third := begin(p, "/1"), begin(p, "/2"), begin(p, "/3")
		if s := p.Stats(); s.Waiting != 2 || s.Servers[0].InFlight != 1 {
			t.Fatalf("Stats = %+v, want 1 in flight and 2 waiting", s)
		}
		fourth := <-begin(p, "/4")
		if !errors.Is(fourth.err, upstream.ErrBusy) || fourth.at != 0 {
			t.Fatalf("the fourth got %v after %v, want ErrBusy at once", fourth.err, fourth.at)
		}
		if want := `upstream: pool "shop": no server has room: 2 requests wait already`; fourth.err.Error() != want {
			t.Fatalf("error %q, want %q", fourth.err, want)
		}
		(<-first).wantAt(t, 1*time.Second, 200, "a")
		(<-second).wantAt(t, 2*time.Second, 200, "a")
		(<-third).wantAt(t, 3*time.Second, 200, "a")
		f.host("a").want(t, "GET shop.test/1", "GET shop.test/2", "GET shop.test/3")
		if s := p.Stats(); s.Waiting != 0 || s.Refused != 1 || s.Servers[0].InFlight != 0 {
			t.Fatalf("Stats = %+v, want 1 refused and nothing left", s)
		}
	})
}

func TestAServerNeverHasMoreThanMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		var running, most atomic.Int64
		for _, name := range f.names {
			f.host(name).does(func(w http.ResponseWriter, r *http.Request) {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer running.Add(-1)
				slowly(time.Second, text(name))(w, r)
			})
		}
		p := f.pool(func(o *upstream.Options) { o.MaxRequests, o.QueueTimeout = 3, time.Minute })
		var all sync.WaitGroup
		begun := time.Now()
		for range 60 {
			all.Go(func() {
				if g := get(p, "/"); g.err != nil {
					t.Error(g.err)
				}
			})
		}
		all.Wait()
		if most.Load() != 6 || time.Since(begun) != 10*time.Second {
			t.Fatalf("at most %d at once, and done after %v; want 6 and 10s", most.Load(), time.Since(begun))
		}
	})
}

func TestNegativeLimitsAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, text("a")))
		p := f.pool(func(o *upstream.Options) { o.MaxRequests, o.MaxConns = -1, 1000 })
		var all sync.WaitGroup
		for range 600 { // more than the default
			all.Go(func() { get(p, "/").wantAt(t, time.Second, 200, "a") })
		}
		all.Wait()

		p = f.pool(func(o *upstream.Options) { o.MaxRequests, o.MaxQueued = 1, -1 })
		begin(p, "/")
		if err := (<-begin(p, "/")).err; !errors.Is(err, upstream.ErrBusy) {
			t.Fatalf("error %v, want ErrBusy", err)
		}
		time.Sleep(time.Second)
	})
}

func TestARequestWaitsQueueTimeoutAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			busy time.Duration
			err  error
			at   time.Duration
		}{
			{5*time.Second - 1, nil, 5*time.Second - 1},
			{5*time.Second + 1, upstream.ErrBusy, 5 * time.Second},
		} {
			f := newFleet(t, "a")
			f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
				if r.RequestURI == "/first" {
					time.Sleep(row.busy)
				}
				io.WriteString(w, "a")
			})
			p := f.pool(func(o *upstream.Options) { o.MaxRequests = 1 })
			first := begin(p, "/first")
			g := get(p, "/second")
			if !errors.Is(g.err, row.err) || g.at != row.at {
				t.Errorf("behind a request of %v: error %v after %v; want %v after %v", row.busy, g.err, g.at, row.err, row.at)
			}
			<-first
		}
	})
}

func TestAWaiterThatLeavesMakesRoomInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, text("a")))
		p := f.pool(func(o *upstream.Options) { o.MaxRequests, o.MaxQueued = 1, 1 })
		first := begin(p, "/1")
		ctx, cancel := context.WithCancelCause(t.Context())
		left := make(chan got, 1)
		go func() { left <- send(p, request("GET", "/2", nil).WithContext(ctx)) }()
		synctest.Wait()
		gone := errors.New("gone")
		cancel(gone)
		if err := (<-left).err; !errors.Is(err, gone) || errors.Is(err, upstream.ErrBusy) {
			t.Fatalf("the waiter that left got %v", err)
		}
		third := begin(p, "/3")
		(<-first).want(t, 200, "a")
		(<-third).wantAt(t, 2*time.Second, 200, "a")
		f.host("a").want(t, "GET shop.test/1", "GET shop.test/3")
		if s := p.Stats(); s.Refused != 0 {
			t.Fatalf("%d refused, want 0", s.Refused)
		}
	})
}

func TestARateSpacesRequestsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFleet(t, "a", "b").pool(func(o *upstream.Options) { o.Rate, o.Burst = 2, 2 })
		var waiting []<-chan got
		for i := range 5 {
			waiting = append(waiting, begin(p, fmt.Sprint("/", i)))
		}
		for i, want := range []time.Duration{0, 0, 500, 1000, 1500} {
			if g := <-waiting[i]; g.err != nil || g.at != want*time.Millisecond {
				t.Errorf("request %d was answered after %v (error %v), want %v", i, g.at, g.err, want*time.Millisecond)
			}
		}
	})
}

func TestRequestsThatWaitFollowTheShareOfTheRate(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after float64
		want          []time.Duration // in milliseconds
	}{
		{"it stays", 0.5, 0.5, []time.Duration{0, 200, 400, 600}},
		{"it falls", 1, 0.5, []time.Duration{0, 100, 300, 500}},  // seen at 200 ms, which have counted as 50 since the turn
		{"it rises", 0.25, 1, []time.Duration{0, 250, 350, 450}}, // seen at 200 ms, which have counted as 50
	} {
		synctest.Test(t, func(t *testing.T) {
			var share atomic.Value
			share.Store(test.before)
			p := newFleet(t, "a").pool(func(o *upstream.Options) {
				o.Rate, o.Burst, o.Share = 10, 1, func() float64 { return share.Load().(float64) }
			})
			var waiting []<-chan got
			for i := range test.want {
				waiting = append(waiting, begin(p, fmt.Sprint("/", i)))
				synctest.Wait()
			}
			time.Sleep(100*time.Millisecond + 1)
			share.Store(test.after)
			for i, want := range test.want {
				if g := <-waiting[i]; g.err != nil || g.at != want*time.Millisecond {
					t.Errorf("%s: request %d was answered after %v (error %v), want %v", test.name, i, g.at, g.err, want*time.Millisecond)
				}
			}
		})
	}
}

func TestAWaiterThatLeavesLeavesItsTurnToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFleet(t, "a").pool(func(o *upstream.Options) { o.Rate, o.Burst = 1, 1 })
		get(p, "/").wantAt(t, 0, 200, "a")
		ctx, cancel := context.WithCancel(t.Context())
		go send(p, request("GET", "/", nil).WithContext(ctx))
		synctest.Wait()
		next := begin(p, "/")
		cancel()
		(<-next).wantAt(t, time.Second, 200, "a")
	})
}

func TestWhoWaitsIsWokenWhenAnEjectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		f.host("b").does(slowly(time.Minute, text("b")))
		p := f.pool(func(o *upstream.Options) {
			o.MaxRequests, o.EjectAfter, o.EjectFor = 1, 1, 3*time.Second
		})
		slow := begin(p, "/") // at a first, and then at b
		f.host("a").refuse(false)
		get(p, "/").wantAt(t, 3*time.Second, 200, "a")
		(<-slow).want(t, 200, "b")
	})
}

func TestWhoWaitsIsWokenWhenAnAnswerBringsAServerBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		f.host("b").does(slowly(time.Minute, text("b")))
		p := f.pool(func(o *upstream.Options) {
			o.MaxRequests, o.EjectAfter, o.EjectFor = 2, 1, 3*time.Second
		})
		begin(p, "/")
		last := begin(p, "/") // b has its two
		f.host("a").refuse(false)
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			slowly(time.Second, nothing)(w, r)
			w.(http.Flusher).Flush()
			slowly(time.Second, text("a"))(w, r)
		})
		time.Sleep(3 * time.Second)
		first, second := begin(p, "/"), begin(p, "/")
		if n := p.Stats().Waiting; n != 1 {
			t.Fatalf("%d wait behind the one that tries the server, want 1", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := p.Stats().Waiting; n != 0 {
			t.Fatalf("%d wait although the server has answered, want 0", n)
		}
		<-first
		<-second
		<-last
	})
}

func TestWhoWaitsIsWokenWhenAServerIsWellAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").does(status(503, ""))
		f.host("b").does(func(w http.ResponseWriter, r *http.Request) {
			if r.RequestURI != "/healthz" {
				time.Sleep(time.Minute)
			}
		})
		p := f.pool(func(o *upstream.Options) {
			o.MaxRequests = 1
			o.Health = upstream.Health{Path: "/healthz", Interval: time.Second, Jitter: -1, UnhealthyAfter: 1, HealthyAfter: 1}
		})
		synctest.Wait()
		slow := begin(p, "/")
		time.Sleep(time.Millisecond)
		f.host("a").does(text("a"))
		get(p, "/").wantAt(t, 999*time.Millisecond, 200, "a")
		<-slow
	})
}

func TestCloseEndsWhoWaitsAndNotWhoHasAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, hangUp)) // an open pool would ask again
		p := f.pool(func(o *upstream.Options) { o.MaxRequests = 1 })
		first, second := begin(p, "/1"), begin(p, "/2")
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		g := <-second
		if !errors.Is(g.err, upstream.ErrClosed) || g.at != 0 {
			t.Fatalf("who waited got %v after %v, want ErrClosed at once", g.err, g.at)
		}
		if g := <-first; g.err == nil || errors.Is(g.err, upstream.ErrClosed) || g.at != time.Second {
			t.Fatalf("who had a server got %v after %v, want the server's failure after 1s", g.err, g.at)
		}
		f.host("a").want(t, "GET shop.test/1")
		body := &closing{Reader: strings.NewReader("x")}
		if err := send(p, request("POST", "/", body)).err; !errors.Is(err, upstream.ErrClosed) || body.times != 1 {
			t.Fatalf("after Close: error %v, body closed %d times", err, body.times)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// closing counts how often a body is closed, and is not read after that.
type closing struct {
	io.Reader
	times int
}

func (c *closing) Read(p []byte) (int, error) {
	if c.times > 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.Reader.Read(p)
}

func (c *closing) Close() error {
	c.times++
	return nil
}

func TestASeatIsHeldToTheEndOfTheBody(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(body io.ReadCloser)
	}{
		{"read", func(body io.ReadCloser) { io.Copy(io.Discard, body); body.Close() }},
		{"closed", func(body io.ReadCloser) { body.Close(); body.Close() }},
		{"read and left open", func(body io.ReadCloser) { io.Copy(io.Discard, body) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, "a")
			f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "begun")
				w.(http.Flusher).Flush()
				slowly(time.Second, nothing)(w, r)
			})
			p := f.pool(nil)
			res, err := p.RoundTrip(request("GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			if n := p.Stats().Servers[0].InFlight; n != 1 {
				t.Fatalf("%d in flight while the body arrives, want 1", n)
			}
			end.do(res.Body)
			if n := p.Stats().Servers[0].InFlight; n != 0 {
				t.Fatalf("%s: %d in flight after the body, want 0", end.name, n)
			}
			res.Body.Close()
		})
	}
}

func TestAnAnswerWithoutABodyHoldsNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
		p := f.pool(nil)
		res, err := p.RoundTrip(request("GET", "/", nil))
		if err != nil || res.Body != http.NoBody {
			t.Fatalf("error %v, body %v; want NoBody", err, res.Body)
		}
		if n := p.Stats().Servers[0].InFlight; n != 0 {
			t.Fatalf("%d in flight, want 0", n)
		}
	})
}
