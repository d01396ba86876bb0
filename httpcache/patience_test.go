package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// hanging is an origin that answers only when it is told to.
type hanging struct {
	hangs atomic.Bool
	http.HandlerFunc
}

func (o *hanging) answer(w http.ResponseWriter, r *http.Request) {
	if o.hangs.Load() {
		<-r.Context().Done()
		return
	}
	o.HandlerFunc(w, r)
}

func TestARulesLoadTimeoutReleasesAllAtThatMoment(t *testing.T) {
	for _, test := range []struct{ options, rule, want time.Duration }{
		{30 * time.Second, 5 * time.Second, 5 * time.Second},
		{5 * time.Second, 30 * time.Second, 30 * time.Second},
		{5 * time.Second, 0, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &hanging{HandlerFunc: page("page", "Cache-Control", "max-age=60")}
			o.hangs.Store(true)
			w := open(t, memory{}, o.answer, func(o *httpcache.Options) {
				o.LoadTimeout = test.options
				o.Rules = []httpcache.Rule{{Path: "/slow/*", LoadTimeout: test.rule}, {Path: "/other", LoadTimeout: time.Second}}
			})
			for range 2 {
				for _, g := range together(50, func(int) got { return w.get("/slow/p") }) {
					g.wantAt(t, test.want, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
				}
				w.wantCalls(1)
			}
			if g := w.get("/slow/p", "If-Match", "*"); g.status != 504 || g.at != test.want {
				t.Errorf("by itself: %d after %v, want 504 after %v", g.status, g.at, test.want)
			}
			o.hangs.Store(false)
			w.get("/slow/p").wantAt(t, 0, 200, "page", missStored)
		})
	}
}

// LoadTimeout ends with the answer's header.
func TestABodyMayTakeLongerThanARulesLoadTimeout(t *testing.T) {
	for _, test := range []struct{ options, rule time.Duration }{{30 * time.Second, 5 * time.Second}, {5 * time.Second, 30 * time.Second}} {
		for _, control := range []string{"max-age=600", "private"} {
			synctest.Test(t, func(t *testing.T) {
				o := newPiecewise("Cache-Control", control)
				w := open(t, memory{}, o.answer, func(o *httpcache.Options) {
					o.LoadTimeout, o.TailTimeout = test.options, time.Minute
					o.Rules = []httpcache.Rule{{Path: "/slow", LoadTimeout: test.rule}}
				})
				for _, path := range []string{"/slow", "/standard"} {
					readers := []*reader{w.read(path)}
					o.pieces <- "one"
					readers[0].want("one")
					if control != "private" {
						readers = append(readers, w.read(path))
						readers[1].want("one")
					}
					time.Sleep(40 * time.Second)
					o.pieces <- "two"
					for _, r := range readers {
						r.want("two")
					}
					o.pieces <- "!"
					for _, r := range readers {
						r.wantEnd(io.ErrUnexpectedEOF)
					}
				}
			})
		}
	}
}

func TestAnOriginThatHangsPastARulesLoadTimeoutIsDisconnected(t *testing.T) {
	for _, timeout := range []time.Duration{5 * time.Second, 30 * time.Second, 60 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			o := &hanging{HandlerFunc: page("page", "Cache-Control", "max-age=60")}
			w := open(t, memory{}, o.answer, with(httpcache.Rule{LoadTimeout: timeout}))
			w.get("/p")
			time.Sleep(time.Hour)
			o.hangs.Store(true)
			for _, g := range together(20, func(int) got { return w.get("/p") }) {
				g.wantAt(t, timeout, 200, "page", g.cache())
			}
			w.wantCalls(2)
		})
	}
}

func TestWhoHasNoTurnInTimeIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &hanging{HandlerFunc: page("page", "Cache-Control", "max-age=60")}
		o.hangs.Store(true)
		w := open(t, memory{}, o.answer, with(httpcache.Rule{MaxLoads: 1, LoadTimeout: 5 * time.Second}))
		for _, g := range together(3, func(i int) got {
			time.Sleep(time.Duration(i) * time.Second)
			return w.get(fmt.Sprint("/", i))
		}) {
			if g.at != 5*time.Second || g.status != 504 {
				t.Errorf("got %d after %v, want 504 after 5 s", g.status, g.at)
			}
		}
		w.wantCalls(3) // the second had its turn when the first had had its time
		o.hangs.Store(false)
		w.get("/0").wantAt(t, 0, 200, "page", missStored)
	})
}

// Who waits for a turn at the cache itself is let go a second after the rule's
// LoadTimeout: the fetches before it may take longer than that.
func TestWhoWaitsBehindSlowerRulesIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &hanging{HandlerFunc: page("page", "Cache-Control", "max-age=60")}
		o.hangs.Store(true)
		w := open(t, memory{}, o.answer, func(o *httpcache.Options) {
			o.MaxLoads, o.LoadTimeout = 1, time.Minute
			o.Rules = []httpcache.Rule{{Path: "/quick", LoadTimeout: 5 * time.Second}}
		})
		slow := w.begin(t.Context(), "/slow")
		w.get("/quick").wantAt(t, 6*time.Second, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
		w.wantCalls(1)
		(<-slow).wantAt(t, time.Minute, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
	})
}
