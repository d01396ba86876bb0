package httpcache

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// An answer is what the cache gave for a request.
type answer struct {
	f    *fetch
	item corral.Item[*response]
	info corral.Info
	name string      // of the entry
	fwd  httpsem.Fwd // why the origin was asked, if it was
	from time.Time   // when the cache was asked; of what may come from another process
}

// hit reports whether nobody went to the origin for this request's sake. What
// came from another process was there if it is older than the question.
func (a *answer) hit(now time.Time) bool {
	switch a.info.Source {
	case corral.Remote:
		return a.info.Age > now.Sub(a.from)
	case corral.Hit, corral.Stored:
		return true
	case corral.Stale:
		return a.info.Err == nil || !a.f.asked.Load()
	}
	return false
}

// answer makes it a reply.
func (x *exchange) answer(a answer) decision {
	v := a.item.Value
	out := reply{code: v.status, body: a.item.Body, bare: x.r.Method == http.MethodHead, trailer: v.trailer}
	if conditional(x.r.Header) && httpsem.NotModified(x.r.Method, x.r.Header, v.status, v.fields.header()) {
		out.code, out.bare = http.StatusNotModified, true
		fields := pack(httpsem.NotModifiedHeader(v.fields.header()))
		fields.copyTo(x.header)
	} else {
		v.fields.copyTo(x.header)
		if own := a.f.own.Load(); own != nil && a.info.Source == corral.Loaded {
			copyHeader(x.header, *own)
		}
		if out.body != nil {
			if size, whole := out.body.Len(); whole && size != v.length { // else it is among the fields
				x.header["Content-Length"] = []string{strconv.FormatInt(size, 10)}
			}
		}
		x.ranged(&out, v)
	}
	x.age(&a, out.code)
	if out.bare || out.part != nil {
		out.trailer = nil // which comes with the end of the whole
		if out.body != nil && a.info.Source == corral.Loaded && a.info.Kept {
			x.d.readOn(a.name) // the next one wants it, or another part of it
		}
	}
	if out.bare && out.body != nil {
		out.close()
		out.body = nil
	}
	return decision{reply: out}
}

// age tells how old an answer is and how it came about.
func (x *exchange) age(a *answer, code int) {
	v := a.item.Value
	age := v.age + a.info.Age
	if a.hit(x.d.now()) {
		x.tellHit(a, age)
	} else {
		if a.info.Source != corral.Loaded || age >= time.Second {
			x.header["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
		}
		x.noteOrigin(a.f)
		x.tell(x.status(code, a))
	}
}

// conditional reports whether a request has conditions that NotModified knows.
func conditional(h http.Header) bool {
	return len(h["If-None-Match"]) > 0 || len(h["If-Modified-Since"]) > 0
}

// status is how an answer that was fetched came about, in the words of RFC 9211.
func (x *exchange) status(code int, a *answer) httpsem.Status {
	v := a.item.Value
	s := httpsem.Status{
		Cache: x.c.Name, Fwd: a.fwd, TTL: a.info.TTL, HasTTL: a.info.Kept,
		Stored: a.info.Kept && a.info.Source != corral.Stale, Collapsed: a.info.Source == corral.Joined || a.info.Source == corral.Remote,
	}
	switch {
	case a.info.Source == corral.Stale: // it covers the failure of this request's fetch
		s.Fwd, s.FwdStatus = httpsem.FwdStale, int(a.f.status.Load())
		_, s.Detail, _ = explain(a.info.Err)
	case v.forwarded() != code:
		s.FwdStatus = v.forwarded()
	}
	switch {
	case !a.info.Kept && v.reason != httpsem.NoReason:
		s.Detail = v.reason.String()
	case a.info.Source == corral.Remote:
		s.Detail = remote
	}
	return s
}

// Details of what another process of the cluster gave, and of what an earlier one
// left in the store.
const (
	remote = "remote"
	stored = "store"
)

// told is what the answers of one second say of a response that is stored.
type told struct {
	age, ttl int64    // seconds
	ages     []string // the field Age
	hits     []string // the field Cache-Status
}

// tell gives what is said of a hit, made anew once a second.
func (v *response) tell(status string, age, ttl int64) *told {
	if t := v.told.Load(); t != nil && t.age == age && t.ttl == ttl && strings.HasPrefix(t.hits[0], status) {
		return t
	}
	t := &told{
		age: age, ttl: ttl,
		ages: []string{strconv.FormatInt(age, 10)},
		hits: []string{status + strconv.FormatInt(ttl, 10)},
	}
	v.told.Store(t)
	return t
}

// tellHit is tell for what was in the cache.
func (x *exchange) tellHit(a *answer, age time.Duration) {
	seconds := int64(math.Floor(a.info.TTL.Seconds()))
	said := a.item.Value.tell(x.c.hitStatus, int64(age/time.Second), seconds)
	x.header["Age"] = said.ages
	if a.info.Err != nil || a.info.Source == corral.Remote || a.info.Source == corral.Stored || len(x.header["Cache-Status"]) > 0 {
		s := httpsem.Status{Cache: x.c.Name, Hit: true, TTL: a.info.TTL, HasTTL: true}
		switch {
		case a.info.Err != nil:
			_, s.Detail, _ = explain(a.info.Err)
		case a.info.Source == corral.Remote:
			s.Detail = remote
		case a.info.Source == corral.Stored:
			s.Detail = stored
		}
		x.tell(s)
		return
	}
	x.header["Cache-Status"] = said.hits
	if x.trace != nil {
		x.trace.Status = said.hits[0]
	}
}

// tell notes how an answer came about in its header and in the request's trace.
func (x *exchange) tell(s httpsem.Status) { x.tellIn(x.header, s) }

func (x *exchange) tellIn(header http.Header, s httpsem.Status) {
	httpsem.AppendStatus(header, s)
	if lines := header["Cache-Status"]; x.trace != nil {
		x.trace.Status = lines[len(lines)-1]
	}
}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		to[name] = values[:len(values):len(values)]
	}
}
