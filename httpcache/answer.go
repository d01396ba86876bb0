package httpcache

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// answer writes a response that the cache gave. f is nil when it was found
// there without asking further.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, key httpsem.Key, item corral.Item[*response], info corral.Info, f *fetch) {
	defer closeBody(item)
	v := item.Value
	status := p.status(v, info)
	note(r, status, f)
	header := w.Header()
	code := v.status
	if httpsem.NotModified(r.Method, r.Header, v.status, v.header) {
		code = http.StatusNotModified
		copyHeader(header, httpsem.NotModifiedHeader(v.header))
	} else {
		copyHeader(header, v.header)
	}
	if age := v.policy.Age + info.Age; info.Source != corral.Loaded || age >= time.Second {
		header.Set("Age", strconv.FormatInt(int64(age/time.Second), 10))
	}
	httpsem.AppendStatus(header, status)
	httpsem.AppendVia(header, 1, 1, p.o.Name)
	if code == http.StatusNotModified || r.Method == http.MethodHead || item.Body == nil {
		w.WriteHeader(code)
		return
	}
	w.WriteHeader(code)
	if err := copyBody(w, item.Body, p.tailTimeout()); err != nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// status is how an answer came about, in the words of RFC 9211.
func (p *Proxy) status(v *response, info corral.Info) httpsem.Status {
	s := httpsem.Status{Cache: p.o.Name, TTL: info.TTL, HasTTL: info.Kept}
	switch info.Source {
	case corral.Hit, corral.Stale:
		s.Hit = true
		if info.Err != nil {
			s.Detail = "origin-failed"
		}
		return s
	case corral.Joined:
		s.Collapsed = true
	}
	s.Fwd = httpsem.FwdURIMiss
	if v.fwdStatus != 0 {
		s.Fwd, s.FwdStatus = httpsem.FwdStale, v.fwdStatus
	}
	s.Stored = info.Kept
	if !info.Kept {
		s.Detail = v.policy.Reason.String()
	}
	return s
}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		to[name] = values[:len(values):len(values)]
	}
}

// copyBuffer is how much of a body is written at once, in bytes.
const copyBuffer = 32 << 10

// copyBody sends a body as it arrives: what there is is sent on whenever there
// is nothing more to write yet. A client that takes nothing for as long as
// timeout is cut off.
func copyBody(w http.ResponseWriter, body *corral.Body, timeout time.Duration) error {
	control := http.NewResponseController(w)
	defer control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	buffer := make([]byte, copyBuffer)
	var written int64
	for {
		if arrived, whole := body.Len(); written == arrived && !whole {
			control.Flush()
		}
		n, err := body.Read(buffer)
		if n > 0 {
			control.SetWriteDeadline(time.Now().Add(timeout)) // not every writer has one
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			written += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *Proxy) tailTimeout() time.Duration {
	if p.o.TailTimeout > 0 {
		return p.o.TailTimeout
	}
	return 30 * time.Second
}

// answerError tells a client why there is no answer. It is the one function
// between the library's errors and status codes.
func (p *Proxy) answerError(w http.ResponseWriter, r *http.Request, f *fetch, err error) {
	s := httpsem.Status{Fwd: httpsem.FwdURIMiss}
	if n := f.status.Load(); n != 0 {
		s.FwdStatus = int(n)
	}
	note(r, s, f)
	if page := f.failed.Load(); page != nil { // this request caused it
		copyHeader(w.Header(), page.header)
		s.Cache = p.o.Name
		s.Fwd, s.FwdStatus = httpsem.FwdURIMiss, 0
		httpsem.AppendStatus(w.Header(), s)
		w.WriteHeader(page.status)
		if r.Method != http.MethodHead {
			w.Write(page.body)
		}
		return
	}
	var failure *corral.LoadError
	if errors.As(err, &failure) && failure.RetryAfter > 0 {
		seconds := (failure.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	var origin *originError
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case errors.As(err, &origin):
		s.FwdStatus, s.Detail = origin.status, "origin-failed"
		p.fail(w, r, origin.status, s, origin.Error())
	case errors.Is(err, corral.ErrOverloaded):
		if w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "1")
		}
		s.Detail = "overloaded"
		p.fail(w, r, http.StatusServiceUnavailable, s, "too much is being asked for at once")
	case errors.Is(err, corral.ErrLoadTimeout):
		s.Detail = "origin-timeout"
		p.fail(w, r, http.StatusGatewayTimeout, s, "the origin did not answer in time")
	case errors.Is(err, corral.ErrClosed):
		s.Detail = "closing"
		p.fail(w, r, http.StatusServiceUnavailable, s, "this server is stopping")
	case errors.Is(err, errOrigin):
		s.Detail = "origin-unreachable"
		p.fail(w, r, http.StatusBadGateway, s, "the origin cannot be reached")
	default:
		s.Detail = "internal"
		p.fail(w, r, http.StatusInternalServerError, s, "the request could not be answered")
	}
}

// refuse answers a request that cannot be keyed.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusBadRequest
	if errors.Is(err, httpsem.ErrMisdirected) {
		code = http.StatusMisdirectedRequest
	}
	w.Header().Set("Connection", "close")
	p.fail(w, r, code, httpsem.Status{Detail: "invalid-request"}, err.Error())
}

// fail writes an error of the proxy's own.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, code int, s httpsem.Status, text string) {
	s.Cache = p.o.Name
	note(r, s, nil)
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	httpsem.AppendStatus(header, s)
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		io.WriteString(w, text+"\n")
	}
}
