package httpcache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/unasked"
)

// attended is the transport of requests that go by themselves. It ends an
// exchange in which one side makes no progress: else clients that stop in the
// middle, or an origin that hangs, would collect connections for ever.
//
//	while                           who makes no progress for    is told
//	content is awaited              the client, LoadTimeout      408
//	content or header is awaited    the origin, LoadTimeout      504
//	the answer's body is awaited    the origin, TailTimeout      by its connection's end
type attended struct{ p *Proxy }

func (t attended) RoundTrip(r *http.Request) (*http.Response, error) {
	p, way := t.p, passageOf(r)
	route, tailTimeout := way.x.route, way.x.c.TailTimeout
	way.fetch.asked.Store(true)
	ctx, cancel := context.WithCancelCause(r.Context())
	up := &upload{ReadCloser: r.Body, way: way, timeout: route.LoadTimeout}
	up.watch = time.AfterFunc(route.LoadTimeout, func() { up.stalled(cancel) })
	r = r.WithContext(unasked.Watch(ctx))
	if r.Body != nil {
		r.Body = up
	}
	start := p.now()
	res, err := route.Transport.RoundTrip(r)
	way.fetch.took.Store(int64(p.now().Sub(start)))
	up.end()
	if err != nil {
		defer cancel(nil)
		return nil, up.fault(ctx, err)
	}
	way.fetch.status.Store(int64(res.StatusCode))
	if !tidy(res.Header) {
		res.Body.Close()
		cancel(nil)
		return nil, errNoAnswer
	}
	if res.StatusCode != http.StatusSwitchingProtocols { // there the connection is all that is left
		res.Body = newDownload(res.Body, tailTimeout, cancel)
	}
	return res, nil
}

// upload is a request's content.
type upload struct {
	io.ReadCloser
	way     *passage
	watch   *time.Timer
	timeout time.Duration
	waiting atomic.Bool           // for the client
	broken  atomic.Pointer[error] // how the content ended, if not well

	mu   sync.Mutex
	over bool // the answer's header is here, or there will be none
}

func (u *upload) Read(p []byte) (int, error) {
	u.waiting.Store(true)
	n, err := u.ReadCloser.Read(p)
	u.waiting.Store(false)
	if err != nil && err != io.EOF {
		u.broken.CompareAndSwap(nil, &err)
	}
	u.watch.Reset(u.timeout)
	return n, err
}

// stalled ends the exchange. A Read that waits for the client has to be ended
// as well: the transport does not return before it does.
func (u *upload) stalled(cancel context.CancelCauseFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.over:
	case u.waiting.Load():
		cancel(errSlowContent)
		u.way.control.SetReadDeadline(time.Now())
	default:
		cancel(corral.ErrLoadTimeout)
	}
}

func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	u.watch.Stop()
}

// fault is what an error of the transport says about client or origin.
func (u *upload) fault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if broken := u.broken.Load(); broken != nil {
		return fmt.Errorf("%w: %w", errContent, *broken)
	}
	return fault(err)
}

// download is the body of an answer.
type download struct {
	io.ReadCloser
	watch   *time.Timer
	cancel  context.CancelCauseFunc
	timeout time.Duration
}

func newDownload(body io.ReadCloser, timeout time.Duration, cancel context.CancelCauseFunc) *download {
	watch := time.AfterFunc(timeout, func() { cancel(corral.ErrLoadTimeout) })
	watch.Stop() // it runs while a Read does
	return &download{ReadCloser: body, watch: watch, cancel: cancel, timeout: timeout}
}

func (d *download) Read(p []byte) (int, error) {
	d.watch.Reset(d.timeout)
	defer d.watch.Stop()
	return d.ReadCloser.Read(p)
}

func (d *download) Close() error {
	defer d.cancel(nil)
	d.watch.Stop()
	return d.ReadCloser.Close()
}
