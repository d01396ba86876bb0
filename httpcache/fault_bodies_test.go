package httpcache_test

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral/httpcache"
)

// largest is the largest body that is streamed: a gibibyte, or less under the
// race detector, unless CORRAL_SOAK is set.
func largest() int {
	if underRace && os.Getenv("CORRAL_SOAK") == "" {
		return 128 << 20
	}
	return 1 << 30
}

// Bodies of every size arrive as they were sent, with a length and in chunks,
// shared by two and from the cache; what is larger than MaxObjectBytes is
// streamed through a window.
func TestFaultBodiesOfAllSizesAreExact(t *testing.T) {
	const objects, bound = 8 << 20, 24 << 20
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Path[1:])
		large(size)(rw, r)
	}, func(o *httpcache.Options) { o.MaxBytes, o.MaxObjectBytes = bound, objects })
	w.get("/0")
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, objects - 1<<10, objects, objects + 1, 64 << 20, largest()} {
		rounds, clients, want := 2, 2, sumOf(size)
		if size > objects+1 {
			rounds = 1
		}
		if size > 64<<20 {
			clients = 1
		}
		for _, query := range []string{"", "?length=1"} {
			target, before := fmt.Sprint("/", size, query), live()
			var most atomic.Int64
			for range rounds {
				together(clients, func(int) got {
					h := &sampled{hash: sha256.New(), every: size/8 + 1, most: &most}
					w.wantStreamed(target, h, size, want)
					return got{}
				})
			}
			if grown, limit := most.Load()-before, int64(bound+8<<20); grown > limit && !underRace {
				t.Errorf("GET %s: %s were held, want %s at most", target, mebibytes(grown), mebibytes(limit))
			} else if size == largest() {
				t.Logf("GET %s: %s were held, of %s at most", target, mebibytes(grown), mebibytes(limit))
			}
			if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
				t.Errorf("GET %s: %d bytes are kept, want %d at most", target, s.Bytes+s.BytesInFlight, bound)
			}
		}
	}
}

// wantStreamed reads a body into a hash, and keeps none of it.
func (w *world) wantStreamed(target string, h *sampled, size int, want [32]byte) {
	w.t.Helper()
	res, err := w.client.RoundTrip(newRequest(w.t.Context(), "GET", target, nil))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer res.Body.Close()
	n, err := io.Copy(h, res.Body)
	if err != nil || int(n) != size || [32]byte(h.hash.Sum(nil)) != want {
		w.t.Errorf("GET %s: %d bytes, %v, %s; want %d exact ones", target, n, err, res.Header.Get("Cache-Status"), size)
	}
}

// sampled is a hash that looks at the live heap after every so many bytes.
type sampled struct {
	hash        hash.Hash
	size, every int
	most        *atomic.Int64
}

func (h *sampled) Write(p []byte) (int, error) {
	before := h.size / h.every
	if h.size += len(p); h.size/h.every > before {
		now := live()
		for most := h.most.Load(); now > most && !h.most.CompareAndSwap(most, now); most = h.most.Load() {
		}
	}
	return h.hash.Write(p)
}

// live is the live heap, in bytes.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
