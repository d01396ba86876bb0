package httpcache

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// An answer is what the cache gave for a request.
type answer struct {
	item corral.Item[*response]
	info corral.Info
	name string      // of the entry
	fwd  httpsem.Fwd // why the origin was asked, if it was
}

// hit reports whether nobody went to the origin for this request's sake.
func (a *answer) hit(f *fetch) bool {
	switch a.info.Source {
	case corral.Hit:
		return true
	case corral.Stale:
		return a.info.Err == nil || !f.asked.Load()
	}
	return false
}

// answer writes it.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, f *fetch, a answer) {
	defer closeBody(a.item)
	v, body := a.item.Value, a.item.Body
	header := w.Header()
	code := v.status
	if httpsem.NotModified(r.Method, r.Header, v.status, v.header) {
		code = http.StatusNotModified
		copyHeader(header, httpsem.NotModifiedHeader(v.header))
	} else {
		copyHeader(header, v.header)
	}
	if age := v.policy.Age + a.info.Age; a.info.Source != corral.Loaded || age >= time.Second {
		header["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	}
	if a.hit(f) {
		p.tellHit(r, header, &a)
	} else {
		noteOrigin(r, f)
		p.tell(r, header, p.status(code, f, &a))
	}
	switch {
	case body == nil:
		w.WriteHeader(code)
	case code == http.StatusNotModified:
		if a.info.Source == corral.Loaded && a.info.Kept {
			p.readOn(a.name)
		}
		w.WriteHeader(code)
	default:
		if size, whole := body.Len(); whole {
			header["Content-Length"] = []string{strconv.FormatInt(size, 10)}
		}
		w.WriteHeader(code)
		if r.Method != http.MethodHead {
			copyBody(w, body)
		}
	}
}

// status is how an answer that was fetched came about, in the words of RFC 9211.
func (p *Proxy) status(code int, f *fetch, a *answer) httpsem.Status {
	v := a.item.Value
	s := httpsem.Status{
		Cache: p.o.Name, Fwd: a.fwd, TTL: a.info.TTL, HasTTL: a.info.Kept,
		Stored: a.info.Kept && a.info.Source != corral.Stale, Collapsed: a.info.Source == corral.Joined,
	}
	switch {
	case a.info.Source == corral.Stale: // it covers the failure of this request's fetch
		s.Fwd, s.FwdStatus, s.Detail = httpsem.FwdStale, int(f.status.Load()), "origin-failed"
	case v.forwarded() != code:
		s.FwdStatus = v.forwarded()
	}
	if !a.info.Kept {
		s.Detail = v.policy.Reason.String()
	}
	return s
}

// tellHit is tell for what was in the cache.
func (p *Proxy) tellHit(r *http.Request, header http.Header, a *answer) {
	if a.info.Err != nil || len(header["Cache-Status"]) > 0 {
		s := httpsem.Status{Cache: p.o.Name, Hit: true, TTL: a.info.TTL, HasTTL: true}
		if a.info.Err != nil {
			s.Detail = "origin-failed"
		}
		p.tell(r, header, s)
		return
	}
	text := p.hitStatus + strconv.FormatInt(int64(math.Floor(a.info.TTL.Seconds())), 10)
	header["Cache-Status"] = []string{text}
	note(r, text)
}

// tell notes how an answer came about in its header and in the request's trace.
func (p *Proxy) tell(r *http.Request, header http.Header, s httpsem.Status) {
	httpsem.AppendStatus(header, s)
	lines := header["Cache-Status"]
	note(r, lines[len(lines)-1])
}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		to[name] = values[:len(values):len(values)]
	}
}

// readOn reads a body that still arrives to its end for nobody: the client
// whose request began the fetch has a current copy and needs none of it, but
// without a reader the fetch would be given up, and the next client with a copy
// would begin it anew.
func (p *Proxy) readOn(name string) {
	p.closing.Lock()
	defer p.closing.Unlock()
	if p.closed {
		return
	}
	item, _, ok := p.cache.Peek(name)
	if !ok || item.Body == nil {
		return
	}
	p.reading.Go(func() {
		defer item.Body.Close()
		io.CopyN(io.Discard, item.Body, p.o.MaxBytes)
	})
}

// copyBody sends a body as it arrives. When it ends early, or the client takes
// nothing for TailTimeout, the connection is aborted: the client must not take
// a part for the whole.
func copyBody(w http.ResponseWriter, body *corral.Body) {
	out := &bodyWriter{to: w, control: http.NewResponseController(w), body: body}
	if arrived, whole := body.Len(); arrived == 0 && !whole {
		out.control.Flush()
	}
	if _, err := body.WriteTo(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// bodyWriter flushes when what has arrived is written and more is to come.
type bodyWriter struct {
	to      io.Writer
	control *http.ResponseController
	body    *corral.Body
	written int64
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.written += int64(n)
	if arrived, whole := w.body.Len(); w.written == arrived && !whole {
		w.control.Flush() // an error shows at the next Write
	}
	return n, err
}
