package httpcache

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// contentGrace is how long a request's content that nobody takes any more is
// read on, so that its connection can be used again.
const contentGrace = 500 * time.Millisecond

// A patient ResponseWriter waits for a client, but not for ever: whatever may
// write to the connection, the end of the handler included, has timeout from
// when it begins. net/http lifts the deadline when the response is finished.
//
// It ends the connection after a request of HTTP/1.1
//
//   - with chunks. It may have had a Content-Length as well: net/http does not
//     tell. RFC 9112, section 6.1, has the connection closed after such a one,
//     since somebody before us may take the end of its content for a request.
//     So has it for a request of HTTP/1.0 with content: there net/http reads
//     over a Transfer-Encoding.
//   - whose content is not wholly taken when the answer begins. Else net/http
//     would await the rest before it sends anything.
type patient struct {
	http.ResponseWriter
	x        exchange
	r        *http.Request
	control  http.ResponseController
	timeout  time.Duration
	doubtful bool     // others may have found another end of its content
	content  *request // nil: the request has none, or comes by HTTP/2
}

// patient wraps the writer of a request, and its content in the request r.
func (p *Proxy) patient(w http.ResponseWriter, r *http.Request) *patient {
	out := &patient{ResponseWriter: w, r: r, control: *http.NewResponseController(w), timeout: p.config.Load().TailTimeout}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		out.doubtful = len(r.TransferEncoding) > 0 || r.ProtoMinor == 0
		out.content = &request{ReadCloser: r.Body}
		with := *r
		with.Body = out.content
		out.r = &with
	}
	return out
}

func (w *patient) wait() { w.control.SetWriteDeadline(time.Now().Add(w.timeout)) } // where there is one

func (w *patient) WriteHeader(status int) {
	w.wait()
	if status >= 200 {
		header := w.Header()
		if w.doubtful || w.untaken() {
			header.Set("Connection", "close")
		}
		if _, typed := header["Content-Type"]; !typed {
			header["Content-Type"] = nil // else net/http guesses at what the origin left open
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *patient) Write(p []byte) (int, error) {
	w.wait()
	return w.ResponseWriter.Write(p)
}

// FlushError and Unwrap are for http.ResponseController.
func (w *patient) FlushError() error {
	w.wait()
	return w.control.Flush()
}

func (w *patient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *patient) untaken() bool { return w.content != nil && !w.content.taken.Load() }

// finish is for when the answer is written: net/http reads the rest of the
// content then, with no limit to its patience. A read that is under way, by a
// transport that the origin has not let finish, must end before: the one by
// which net/http waits for it would lift the deadline.
func (w *patient) finish() {
	if w.untaken() {
		w.control.SetReadDeadline(time.Now())
		w.content.end()
		w.control.SetReadDeadline(time.Now().Add(contentGrace))
	}
}

// request is the content of a request, as long as its handler runs.
type request struct {
	io.ReadCloser
	taken atomic.Bool // to its end

	mu    sync.Mutex // held while a Read is under way
	ended bool
}

func (c *request) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return 0, http.ErrBodyReadAfterClose
	case c.taken.Load(): // net/http may have closed it since, which a transport that looks for more would take for a failure
		return 0, io.EOF
	}
	n, err := c.ReadCloser.Read(p)
	if err == io.EOF {
		c.taken.Store(true)
	}
	return n, err
}

func (c *request) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}
