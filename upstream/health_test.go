package upstream_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

// questions are Health for tests: every second, exactly.
func questions(o *upstream.Options) {
	o.Health = upstream.Health{Path: "/healthz", Interval: time.Second, Jitter: -1, Timeout: 100 * time.Millisecond}
}

func TestServersAreAskedAtTheirIntervalAndLeftOutUntilTheyAreWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h2 := range []bool{false, true} {
			f := newFleet(t, "a", "b")
			f.host("a").does(status(500, "a"))
			p := f.pool(func(o *upstream.Options) {
				questions(o)
				o.HTTP2Cleartext = h2
			})
			for i, want := range []string{"ab", "ab", "bb", "bb", "bb"} {
				synctest.Wait()
				if i == 3 {
					f.host("a").does(text("a"))
				}
				f.host("a").want(t, "GET a.test/healthz")
				if got := sequence(p, 2); got != want {
					t.Fatalf("after %d questions: answered by %q, want %q", i+1, got, want)
				}
				f.host("a").calls()
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if got := sequence(p, 2); got != "ab" && got != "ba" {
				t.Fatalf("after two good answers: answered by %q, want both", got)
			}
			if s := p.Stats().Servers[0]; s.Questions != 6 || s.FailedQuestions != 4 || !s.Healthy {
				t.Fatalf("Stats = %+v, want 6 questions, 4 of them failed", s)
			}
			p.Close()
			f.host("a").calls()
			time.Sleep(time.Hour)
			f.host("a").want(t)
		}
	})
}

func TestAnAnswerIsWellByItsStatusAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name     string
			answer   http.HandlerFunc
			min, max int
			well     bool
		}{
			{"200", status(200, ""), 0, 0, true},
			{"302 is not followed", status(302, "", "Location", "/x"), 0, 0, true},
			{"399", status(399, ""), 0, 0, true},
			{"400", status(400, ""), 0, 0, false},
			{"one below", status(203, ""), 204, 205, false},
			{"the lowest", status(204, ""), 204, 205, true},
			{"the highest", status(205, ""), 204, 205, true},
			{"one above", status(206, ""), 204, 205, false},
			{"in time", slowly(100*time.Millisecond-1, text("")), 0, 0, true},
			{"too late", slowly(100*time.Millisecond+1, text("")), 0, 0, false},
			{"closed", hangUp, 0, 0, false},
		} {
			f := newFleet(t, "a")
			f.host("a").does(row.answer)
			p := f.pool(func(o *upstream.Options) {
				questions(o)
				o.Health.UnhealthyAfter, o.Health.MinStatus, o.Health.MaxStatus = 1, row.min, row.max
			})
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			if s := p.Stats().Servers[0]; s.Healthy != row.well || s.Questions != 1 {
				t.Errorf("%s: Stats = %+v, want healthy %v after one question", row.name, s, row.well)
			}
			p.Close()
		}
	})
}

func TestAQuestionHasItsOwnHostAndIsBelowTheServersPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.pool(func(o *upstream.Options) {
			questions(o)
			o.Servers[0].URL.Path = "/shop"
			o.Health.Host, o.Health.Path = "shop.test", "/healthz?deep=1"
		})
		synctest.Wait()
		f.host("a").want(t, "GET shop.test/shop/healthz?deep=1")
	})
}

func TestQuestionsDoNotWaitForConnectionsThatAreInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			if r.RequestURI != "/healthz" {
				slowly(time.Minute, nothing)(w, r)
			}
		})
		p := f.pool(func(o *upstream.Options) {
			questions(o)
			o.MaxConns = 1
		})
		slow := begin(p, "/")
		time.Sleep(30 * time.Second)
		if s := p.Stats().Servers[0]; s.FailedQuestions != 0 || !s.Healthy {
			t.Fatalf("Stats = %+v, want no failed questions", s)
		}
		<-slow
	})
}

func TestEachQuestionIsAskedOnAConnectionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h2 := range []bool{false, true} {
			f := newFleet(t, "a")
			var dials, open atomic.Int64
			f.pool(func(o *upstream.Options) {
				questions(o)
				o.HTTP2Cleartext = h2
				o.DialContext = f.counting(&dials, &open)
			})
			time.Sleep(2500 * time.Millisecond)
			if dials.Load() != 3 || open.Load() != 0 {
				t.Errorf("HTTP/2: %v: %d connections for 3 questions, %d of them open; want 3 and 0", h2, dials.Load(), open.Load())
			}
		}
	})
}

func TestJitterSpreadsQuestionsAroundTheInterval(t *testing.T) {
	for _, row := range []struct {
		jitter, random float64
		want           time.Duration
	}{
		{0.1, 0, 9 * time.Second},
		{0.1, 0.5, 10 * time.Second},
		{0.1, 0.75, 10500 * time.Millisecond},
		{1, 0, 0},
		{-1, 0, 10 * time.Second},
	} {
		if got := upstream.Pause(upstream.Health{Interval: 10 * time.Second, Jitter: row.jitter}, row.random); got != row.want {
			t.Errorf("jitter %v, random %v: pause %v, want %v", row.jitter, row.random, got, row.want)
		}
	}
}

func TestAServerThatFailsIsLeftAloneAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").does(hangUp)
		p := f.pool(func(o *upstream.Options) { o.EjectAfter = 3 })
		if got := sequence(p, 10); got != "bbbbbbbbbb" {
			t.Fatalf("answered by %q", got)
		}
		if n := len(f.host("a").calls()); n != 3 {
			t.Fatalf("the server that fails got %d requests, want 3", n)
		}
		time.Sleep(10*time.Second - 1)
		sequence(p, 4)
		f.host("a").want(t)
		time.Sleep(time.Nanosecond)
		sequence(p, 4)
		f.host("a").want(t, "GET shop.test/") // once: it fails again
		time.Sleep(20 * time.Second)
		f.host("a").does(text("a"))
		if got := sequence(p, 8); strings.Count(got, "a") < 3 {
			t.Fatalf("after an answer: answered by %q", got)
		}
		if s := p.Stats().Servers[0]; s.Ejections != 2 || s.Failures != 4 || !s.Healthy {
			t.Fatalf("Stats = %+v, want 2 ejections, 4 failures", s)
		}
	})
}

func TestWhenNoServerIsHealthyAllAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").does(hangUp)
		f.host("b").does(hangUp)
		p := f.pool(func(o *upstream.Options) { o.EjectAfter, o.Retries = 1, -1 })
		sequence(p, 2)
		for _, s := range p.Stats().Servers {
			if s.Healthy {
				t.Fatalf("%s is healthy", s.URL)
			}
		}
		f.host("a").does(text("a"))
		f.host("b").does(text("b"))
		if got := sequence(p, 4); got != "baba" {
			t.Fatalf("answered by %q, want baba: all of those that answer", got)
		}
	})
}

func TestChangesOfHealthAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		f := newFleet(t, "a")
		f.host("a").does(hangUp)
		p := f.pool(func(o *upstream.Options) {
			questions(o)
			o.EjectAfter, o.Retries = 2, -1
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
		})
		synctest.Wait()
		sequence(p, 5)
		time.Sleep(2500 * time.Millisecond)
		f.host("a").does(text("a"))
		sequence(p, 5)
		time.Sleep(5 * time.Second)
		log.want(t,
			`level=WARN msg="a server did not answer: it is left alone for 10s" pool=shop server=http://a.test`,
			`level=WARN msg="a server is not well: EOF" pool=shop server=http://a.test`,
			`level=INFO msg="a server answers again" pool=shop server=http://a.test`,
			`level=INFO msg="a server is well again" pool=shop server=http://a.test`,
		)
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.text.String(); got != strings.Join(want, "\n")+"\n" {
		t.Fatalf("the log is\n%swant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestAQuestionThatIsOnItsWayEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Hour, nothing))
		p := f.pool(func(o *upstream.Options) { o.Health = upstream.Health{Path: "/", Timeout: time.Hour} })
		synctest.Wait()
		begun := time.Now()
		p.Close()
		if d := time.Since(begun); d != 0 {
			t.Fatalf("Close took %v", d)
		}
		if s := p.Stats().Servers[0]; s.Questions != 0 {
			t.Fatalf("Stats = %+v: a question that Close ended is counted", s)
		}
	})
}
