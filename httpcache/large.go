package httpcache

import (
	"sync"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// maxLarge bounds the addresses that are remembered for being too large.
const maxLarge = 4096

// large remembers which responses are too large to be kept. Requests for parts
// of one are answered from slices, or go to the origin as they are: to fetch
// the whole for each would send a film through here for every second of it that
// somebody watches.
type large struct {
	mu    sync.Mutex
	known map[string]largeResponse
}

// A largeResponse is what is remembered of one.
type largeResponse struct {
	*response
	until time.Time
}

// add remembers a response under the name of its entry.
func (l *large) add(name string, v *response, now time.Time, keep time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]largeResponse{}
	}
	if len(l.known) >= maxLarge {
		for other, response := range l.known {
			if !now.Before(response.until) {
				delete(l.known, other)
			}
		}
	}
	if len(l.known) < maxLarge {
		l.known[name] = largeResponse{v, now.Add(keep)}
	}
}

func (l *large) drop(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, name)
}

// find gives the response of a name; nil when none is known.
func (l *large) find(name string, now time.Time) *response {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.known[name]; ok && now.Before(known.until) {
		return known.response
	}
	return nil
}

// sliceBytes is the size of the slices in which what is too large to be kept
// whole is fetched and kept, when its origin gives ranges of it.
const sliceBytes = 1 << 20

// sliceable gives a response as what its slices are to belong to. It is not ok
// when nothing could show that they do (RFC 9111, section 3.4), or the origin
// does not say that it gives ranges.
func (t *route) sliceable(v *response) (of httpsem.Parts, ok bool) {
	header := v.fields.header()
	delete(header, "Content-Length")
	header["Content-Range"] = []string{httpsem.ContentRange(httpsem.Span{Start: 0, Length: 1}, v.length)}
	if of, ok = httpsem.PartsOf(header); ok {
		_, ok = httpsem.Combine(of, of)
	}
	return of, ok && v.fields.get("Accept-Ranges") == "bytes" && v.varying == nil &&
		t.MaxObjectBytes >= 2*sliceBytes
}
