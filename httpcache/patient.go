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
}

func (p *Proxy) patient(w http.ResponseWriter) http.ResponseWriter {
	return &patient{w, http.NewResponseController(w), p.o.TailTimeout}
}

func (w *patient) wait() { w.control.SetWriteDeadline(time.Now().Add(w.timeout)) } // where there is one

func (w *patient) WriteHeader(status int) {
	w.wait()
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
