package httpcache_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A body that is still being sent holds no seat of MaxLoads: a few endless
// streams, or slow readers of large private files, would lock everybody out of
// every key.
func TestStreamsDoNotLockOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "private", "Content-Type", "text/event-stream")
		w := open(t, memory{}, o.answer, func(o *httpcache.Options) { o.MaxLoads, o.LoadTimeout, o.TailTimeout = 4, 10*time.Second, time.Hour })
		for i := range 4 {
			defer w.read(fmt.Sprint("/events/", i)).leave()
		}
		g := w.begin(t.Context(), "/page")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		select {
		case g := <-g:
			t.Errorf("GET /page = %d %q after %v, want to be let through", g.status, g.body, g.at)
		default: // it streams
		}
	})
}

// Retry-After counts also for a key whose answers are not shared.
func TestRetryAfterIsObeyedOnAMarkedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := page("own", "Cache-Control", "private")
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) }, nil)
		w.get("/p")
		handler = func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Retry-After", "20")
			rw.WriteHeader(503)
		}
		w.get("/p")
		w.wantCalls(2)
		w.get("/p")
		w.wantCalls(0)
	})
}
