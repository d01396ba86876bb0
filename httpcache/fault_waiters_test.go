package httpcache_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/corralcache/corral/httpcache"
)

// perWaiter is what a request over HTTP/2 may hold while it waits, in bytes: its
// stream, its goroutine and its header. Seen: 15.7 KiB.
const perWaiter = 20 << 10

// Fifteen thousand wait on one key, a thousand of them slow: they are bounded in
// number and in memory, who comes past the limit is told when to come again, and
// everybody else is served. The slow ones slow nobody.
func TestFaultFifteenThousandWaiters(t *testing.T) {
	size, slow := sizeOf(15_000, 1_600), sizeOf(1_000, 200)
	const body = 64 << 10
	want := sumOf(body)
	release := make(chan struct{})
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hot" {
			<-release
		}
		rw.Header().Set("Cache-Control", "max-age=60")
		io.Copy(rw, content(body))
	}, func(o *httpcache.Options) { o.MaxWaitersPerKey = size })
	w.get("/stored")
	before := held()
	joined := w.joined(t, size-1)
	fast, stuck := w.throng(size-slow, 1<<20), w.throng(slow, 100)
	defer fast.leave()
	defer stuck.leave()
	hot := func(int) []string { return []string{":path", "/hot"} }
	stuck.ask(hot)
	fast.ask(hot)
	<-joined
	wantHeld(t, "while they wait", before, int64(size)*perWaiter)

	for range 50 {
		if answer := w.ask("GET /hot"); statuses(answer) != "503" || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") {
			t.Fatalf("past the limit: %q", answer)
		}
	}
	for target, cache := range map[string]string{"/stored": "Corral;hit;", "/other": "Corral;fwd=uri-miss;"} {
		if g := w.get(target); g.status != 200 || sum(g.body) != want || !strings.HasPrefix(g.cache(), cache) {
			t.Errorf("%s: %d, %d bytes, %s, %v", g.what, g.status, len(g.body), g.cache(), g.err)
		}
	}

	close(release)
	for i, a := range fast.answers() {
		if a.status != "200" || !a.whole || sum(a.body) != want {
			t.Fatalf("fast client %d got %s, %d bytes, whole %v", i, a.status, len(a.body), a.whole)
		}
	}
	wantHeld(t, "while the slow ones do not read", before, int64(size)*perWaiter)
	if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > 4*body {
		t.Errorf("%d bytes are kept of %d", s.Bytes+s.BytesInFlight, body)
	}
	w.wantCalls(3)
}
