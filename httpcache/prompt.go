package httpcache

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// headerGrace is how long the header of a short answer waits for its body, which
// usually is there already: the two then go on in one write.
const headerGrace = time.Millisecond

// A prompt ResponseWriter sends on what the origin sends at once. (A negative
// FlushInterval of ReverseProxy would as well, with a timer for each write.)
type prompt struct {
	http.ResponseWriter
	control *http.ResponseController

	mu    sync.Mutex  // one at a time may write or flush
	grace *time.Timer // nil: nothing waits
}

func (w *prompt) WriteHeader(status int) {
	if status == http.StatusContinue {
		return // net/http says it once, when the content is read
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
	switch {
	case status < 200:
	case comesAtOnce(w.Header()):
		w.grace = time.AfterFunc(headerGrace, w.late)
	default:
		w.control.Flush()
	}
}

// await lets a header that is written wait for its body.
func (w *prompt) await() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grace = time.AfterFunc(headerGrace, w.late)
}

// comesAtOnce reports whether an answer says that its body is short.
func comesAtOnce(h http.Header) bool {
	length, err := strconv.Atoi(h.Get("Content-Length"))
	return err == nil && 0 < length && length <= bufferBytes
}

// late sends a header whose body has not come in time.
func (w *prompt) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.grace != nil {
		w.control.Flush()
	}
	w.grace = nil
}

func (w *prompt) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked()
	n, err := w.ResponseWriter.Write(p)
	w.control.Flush() // an error shows at the next Write
	return n, err
}

func (w *prompt) settleLocked() {
	if w.grace != nil {
		w.grace.Stop()
		w.grace = nil
	}
}

// end is for when nothing more is written: the connection is another's then.
func (w *prompt) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked()
}

// FlushError implements what http.ResponseController calls.
func (w *prompt) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked()
	return w.control.Flush()
}

// Unwrap is for http.ResponseController.
func (w *prompt) Unwrap() http.ResponseWriter { return w.ResponseWriter }
