package httpcache_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A film is a large response of which an origin gives ranges.
type film struct {
	content []byte
	etag    atomic.Pointer[string]
	header  []string
}

func newFilm(size int, header ...string) *film {
	f := &film{content: make([]byte, size), header: header}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range f.content {
		f.content[i] = byte(random.Uint32())
	}
	f.version(`"v1"`)
	return f
}

func (f *film) version(etag string) { f.etag.Store(&etag) }

func (f *film) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Etag", *f.etag.Load())
	for i := 0; i < len(f.header); i += 2 {
		w.Header().Set(f.header[i], f.header[i+1])
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

func (f *film) wantPart(t *testing.T, g got, from, to int) {
	t.Helper()
	if g.err != nil || g.status != 206 || g.body != string(f.content[from:to+1]) {
		t.Fatalf("%s: %d, %d bytes, error %v, Cache-Status %q", g.what, g.status, len(g.body), g.err, g.cache())
	}
	if want := fmt.Sprintf("bytes %d-%d/%d", from, to, len(f.content)); g.header.Get("Content-Range") != want {
		t.Fatalf("%s: Content-Range %q, want %q", g.what, g.header.Get("Content-Range"), want)
	}
	if want := fmt.Sprint(to - from + 1); g.header.Get("Content-Length") != want {
		t.Fatalf("%s: Content-Length %q, want %q", g.what, g.header.Get("Content-Length"), want)
	}
}

func small(o *httpcache.Options) { o.MaxObjectBytes = 2 << 20 }

func (w *world) part(target string, from, to int) got {
	return w.get(target, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
}

func TestRangesOfWhatIsTooLargeAreAnsweredFromSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFilm(5<<20 + 100)
		w := open(t, memory{}, f.ServeHTTP, small)
		f.wantPart(t, w.part("/film", 10, 19), 10, 19)
		w.wantCalls(2) // one learnt from the header how large it is
		f.wantPart(t, w.part("/film", 1000, 99_999), 1000, 99_999)
		w.wantCalls(0)
		f.wantPart(t, w.part("/film", 1<<20-5, 3<<20+5), 1<<20-5, 3<<20+5)
		w.wantCalls(3)
		f.wantPart(t, w.part("/film", 2<<20, 4<<20-1), 2<<20, 4<<20-1)
		w.wantCalls(0)
		f.wantPart(t, w.get("/film", "Range", "bytes=-10"), len(f.content)-10, len(f.content)-1)
		w.wantCalls(1)
		f.wantPart(t, w.part("/film", 0, len(f.content)-1), 0, len(f.content)-1)
		w.wantCalls(1)
	})
}

func TestAHundredClientsOfOneSliceCostOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFilm(4 << 20)
		w := open(t, memory{}, slowly(100*time.Millisecond, f.ServeHTTP), small)
		f.wantPart(t, w.part("/film", 0, 0), 0, 0)
		w.origin.calls()
		for _, g := range together(100, func(i int) got { return w.part("/film", 2<<20+i, 2<<20+i+1000) }) {
			var from int
			fmt.Sscanf(g.header.Get("Content-Range"), "bytes %d-", &from)
			f.wantPart(t, g, from, from+1000)
			if g.at != 100*time.Millisecond {
				t.Errorf("%s took %v", g.what, g.at)
			}
		}
		w.wantCalls(1)
	})
}

func TestSlicesOfTwoVersionsAreNotPutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFilm(4 << 20)
		w := open(t, memory{}, f.ServeHTTP, small)
		f.wantPart(t, w.part("/film", 0, 9), 0, 9)
		f.version(`"v2"`)
		// The first slice is of the old version; the second cannot follow it.
		g := w.part("/film", 0, 2<<20)
		if g.err == nil {
			t.Fatalf("%s: %d with %d bytes, of two versions", g.what, g.status, len(g.body))
		}
		// A range that begins in the new version is not answered from what is known of the old.
		f.wantPart(t, w.part("/film", 3<<20, 3<<20+9), 3<<20, 3<<20+9)
	})
}

func TestWhatCannotBeSlicedGoesToTheOriginByItself(t *testing.T) {
	for name, header := range map[string][]string{
		"weak":       {"Etag", `W/"v1"`},
		"varying":    {"Vary", "User-Agent"},
		"validators": {"Etag", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFilm(4<<20, header...)
				w := open(t, memory{}, f.ServeHTTP, small)
				for _, calls := range []int{2, 1} { // the first asked for the whole, to see how large it is
					g := w.part("/film", 1<<20, 1<<20+9)
					if g.err != nil || g.body != string(f.content[1<<20:1<<20+10]) {
						t.Fatalf("%s: %d %q %v", g.what, g.status, g.body, g.err)
					}
					if g.cache() != "Corral;fwd=uri-miss;detail=range" {
						t.Errorf("Cache-Status %q", g.cache())
					}
					w.wantCalls(calls)
				}
			})
		})
	}
}

func TestSlicesAreConfirmedWhenTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFilm(4 << 20)
		w := open(t, memory{}, f.ServeHTTP, func(o *httpcache.Options) { small(o); o.PassTTL = time.Hour })
		f.wantPart(t, w.part("/film", 0, 9), 0, 9)
		w.origin.calls()
		time.Sleep(2 * time.Minute)
		g := w.part("/film", 0, 9)
		f.wantPart(t, g, 0, 9)
		w.wantCalls(1)
		if r := w.origin.seen(); r.Header.Get("If-None-Match") != `"v1"` || r.Header.Get("Range") != "bytes=0-1048575" {
			t.Errorf("the origin was asked with %v", r.Header)
		}
	})
}

func TestAReaderOfSlicesThatLeavesLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFilm(8 << 20)
		w := open(t, memory{}, f.ServeHTTP, small)
		ctx, cancel := context.WithCancel(t.Context())
		r := newRequest(ctx, "GET", "/film", nil, "Range", "bytes=0-")
		res, err := w.client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Read(make([]byte, 10))
		cancel()
		res.Body.Close()
		synctest.Wait()
		if running := w.proxy.Cache().Stats().Waiters; running != 0 {
			t.Errorf("%d waiters are left", running)
		}
	})
}
