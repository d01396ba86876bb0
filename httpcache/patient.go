package httpcache

import (
	"net/http"
	"time"
)

// A patient ResponseWriter waits for a client that takes nothing, but not for
// ever: whatever may write to the connection, the end of the handler included,
// has timeout from when it begins. net/http lifts the deadline when the
// response is finished.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	last    bool // the connection is not to be used again
}

// patient wraps the writer of a request. A request with chunks may have had a
// Content-Length as well: net/http does not tell. RFC 9112, section 6.1, has
// the connection closed after such a one, since somebody before us may take the
// end of its content for another request.
func (p *Proxy) patient(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	return &patient{w, http.NewResponseController(w), p.o.TailTimeout, r.ProtoMajor == 1 && len(r.TransferEncoding) > 0}
}

func (w *patient) wait() { w.control.SetWriteDeadline(time.Now().Add(w.timeout)) } // where there is one

func (w *patient) WriteHeader(status int) {
	w.wait()
	if w.last && status >= 200 {
		w.Header().Set("Connection", "close")
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
