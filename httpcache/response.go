package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// response is what is stored under a key beside the body. It is shared by all
// who are answered with it and not changed.
type response struct {
	fields fields // as httpsem.StoredHeader gives them
	length int64  // of the body by its Content-Length; -1: not said

	// Of its policy, as far as the cache does not have it.
	age      time.Duration // when the header arrived
	staleFor time.Duration

	varying *varying             // nil: it answers every request for its address
	trailer *trailer             // of an answer for one; nil: none
	told    atomic.Pointer[told] // what the last hit was told

	status         int
	reason         httpsem.Reason // why it is not kept
	mustRevalidate bool
	confirmed      bool // by the origin's 304
}

// A varying response answers only requests that have the same in some fields.
type varying struct {
	vary      httpsem.Vary
	selecting string    // what these fields were, as they were sent
	unchanged bool      // they are sent as they come
	variants  *variants // of the address
}

// newResponse makes a response of what was judged. sent is the header of the
// request.
func newResponse(status int, policy *httpsem.Policy, header, sent http.Header, length int64) *response {
	v := &response{
		fields: pack(header), length: length, age: policy.Age, staleFor: policy.StaleFor,
		status: status, reason: policy.Reason, mustRevalidate: policy.MustRevalidate,
	}
	if len(policy.Vary.Fields) > 0 {
		v.varying = &varying{vary: policy.Vary, selecting: policy.Vary.Selecting(sent), unchanged: sentUnchanged(policy.Vary)}
	}
	return v
}

// vary says which fields of the request chose the response.
func (v *response) vary() httpsem.Vary {
	if v.varying == nil {
		return httpsem.Vary{}
	}
	return v.varying.vary
}

// selecting is what these fields were.
func (v *response) selecting() string {
	if v.varying == nil {
		return ""
	}
	return v.varying.selecting
}

// A trailer is what Trailer announced of an answer. Its values are written by
// whoever reads the body from the origin, and to be read after its end.
type trailer struct {
	names  []string
	values http.Header
}

func (t *trailer) copyTo(h http.Header) {
	for _, name := range t.names {
		h[name] = t.values[name]
	}
}

// forwarded is the status code by which the origin gave the response.
func (v *response) forwarded() int {
	if v.confirmed {
		return http.StatusNotModified
	}
	return v.status
}

// What a response costs in bytes, without its fields, and more if it varies.
const (
	structBytes  = 144
	varyingBytes = 128
)

func (v *response) size() int64 {
	n := structBytes + v.fields.size()
	if v.varying != nil {
		n += varyingBytes + int64(len(v.varying.selecting))
	}
	return n
}

// fields are a header in three allocations, one of which others share: the
// map of net/http takes several times the room of what is in it.
type fields struct {
	names  []string // sorted; a name with several values stands several times
	values []string // parts of one text
	shared bool     // names belongs to others as well, and is not counted
}

// pack makes fields of a header.
func pack(h http.Header) fields {
	names, length := make([]string, 0, len(h)), 0
	for name, values := range h {
		for _, value := range values {
			names = append(names, name)
			length += len(value)
		}
	}
	slices.Sort(names)
	names, shared := shapes.intern(names)
	var text strings.Builder
	text.Grow(length)
	ends := make([]int, 0, len(names))
	for i, name := range names {
		if i == 0 || names[i-1] != name {
			for _, value := range h[name] {
				text.WriteString(value)
				ends = append(ends, text.Len())
			}
		}
	}
	f, all, start := fields{names, make([]string, len(names)), shared}, text.String(), 0
	for i, end := range ends {
		f.values[i] = all[start:end]
		start = end
	}
	return f
}

// copyTo sets the fields in a header. Their values are not to be changed there,
// but others may be appended.
func (f *fields) copyTo(h http.Header) {
	for i := 0; i < len(f.names); {
		end := i + 1
		for end < len(f.names) && f.names[end] == f.names[i] {
			end++
		}
		h[f.names[i]] = f.values[i:end:end]
		i = end
	}
}

// header gives the fields as net/http has them.
func (f *fields) header() http.Header {
	h := make(http.Header, len(f.names))
	f.copyTo(h)
	return h
}

// get is the first value of a field; empty when there is none.
func (f *fields) get(name string) string {
	if i, ok := slices.BinarySearch(f.names, name); ok {
		return f.values[i]
	}
	return ""
}

func (f *fields) size() (n int64) {
	for i, value := range f.values {
		n += int64(16 + len(value))
		if !f.shared {
			n += int64(16 + len(f.names[i]))
		}
	}
	return n
}

// maxShapes and maxShapeBytes bound the sets of names that responses share, and
// the length of one.
const (
	maxShapes     = 4096
	maxShapeBytes = 2 << 10
)

// shapes are the sets of field names that are in use. Responses of one origin
// have few.
var shapes shapeTable

type shapeTable struct {
	mu    sync.RWMutex
	known map[string][]string
}

// intern gives a set of names that is equal to one, and whether others share it.
func (t *shapeTable) intern(names []string) (own []string, shared bool) {
	joined := strings.Join(names, "\n")
	if len(joined) > maxShapeBytes || strings.Count(joined, "\n") != len(names)-1 { // one of them has a line feed
		return cloned(names), false
	}
	t.mu.RLock()
	known, ok := t.known[joined]
	t.mu.RUnlock()
	if ok {
		return known, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	own = cloned(names)
	if len(t.known) >= maxShapes {
		return own, false
	}
	if t.known == nil {
		t.known = map[string][]string{}
	}
	t.known[strings.Clone(joined)] = own
	return own, true
}

// cloned copies names out of the origin's text, which would keep its whole
// header in memory.
func cloned(names []string) []string {
	own := make([]string, len(names))
	for i, name := range names {
		own[i] = strings.Clone(name)
	}
	return own
}

// variants are the names under which the responses of one address are kept
// beside its first one, the oldest first, each without the name of that. What is
// evicted stays in the list until its turn comes; what is not in the cache costs
// a name, of 65 bytes at most.
type variants struct {
	mu    sync.Mutex
	names []string
	next  int // the oldest, once there are as many as may be
}

// add notes a name and gives back the one that has to make room for it; empty
// when there is room.
func (v *variants) add(name string, limit int) (oldest string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.Contains(v.names, name) {
		return ""
	}
	name = strings.Clone(name)
	if len(v.names) < limit {
		v.names = append(v.names, name)
		return ""
	}
	v.next %= len(v.names)
	oldest, v.names[v.next] = v.names[v.next], name
	v.next++
	return oldest
}
