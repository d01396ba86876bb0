package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// errorPause is how long a key rests after its origin failed. It does not grow:
// a key has one probe at a time whatever its pause, and a page should be back
// within a second of its origin. After LoadTimeout there is none: who waited so
// long has left the origin alone for long enough.
const errorPause = time.Second

// maxRetryAfter bounds how long an origin can ask to be left alone.
const maxRetryAfter = time.Hour

// maxErrorPage bounds the origin's error page that is passed on, in bytes.
const maxErrorPage = 64 << 10

// How an origin can fail without an answer, and a client with its request.
var (
	errUnreachable = &originFault{numberUnreachable, "the origin cannot be reached"}
	errNoAnswer    = &originFault{numberNoAnswer, "the origin broke off, or what it sent is not HTTP"}
	errBusy        = &originFault{numberBusy, "the origin's servers have too much to do"}
	errContent     = errors.New("the request broke off, or is not HTTP")
	errSlowContent = errors.New("the request's content did not come in time")
	errMethod      = errors.New("the method is not a token")
	errExpect      = errors.New("there is no such expectation")
)

// The numbers by which the origin's failures are known in other processes (see
// corral.EncodeError), beside the status codes of its answers. They are part of
// the protocol between processes.
const (
	numberUnreachable uint16 = iota + 1
	numberNoAnswer
	numberBusy
)

// An originFault is that the origin gave no answer.
type originFault struct {
	number uint16
	text   string
}

func (e *originFault) Error() string { return e.text }

// ErrorNumber is for corral.EncodeError.
func (e *originFault) ErrorNumber() uint16 { return e.number }

// An originError says that the origin answered, and with what.
type originError struct{ status int }

func (e *originError) Error() string {
	return fmt.Sprintf("the origin answered %d %s", e.status, http.StatusText(e.status))
}

// ErrorNumber is for corral.EncodeError.
func (e *originError) ErrorNumber() uint16 { return uint16(e.status) }

// numberOf is what a failure says of the origin, in this process or in the one
// that asked it: a status code, one of the numbers above, or 0.
func numberOf(err error) uint16 {
	var e interface{ ErrorNumber() uint16 }
	if !errors.As(err, &e) {
		return 0
	}
	return e.ErrorNumber()
}

// answeredWith is the status of the answer of the origin's that is the failure;
// 0 for one that is none.
func answeredWith(err error) int {
	if status := int(numberOf(err)); isFailure(status) {
		return status
	}
	return 0
}

// fault is what an error of the transport says about the origin.
func fault(err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w: %w", errUnreachable, err)
	case isBusy(err):
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return fmt.Errorf("%w: %w", errNoAnswer, err)
}

// isBusy reports whether a pool of servers, package upstream's or another's, had
// no turn for a request.
func isBusy(err error) bool {
	var pool interface{ Busy() bool }
	return errors.As(err, &pool) && pool.Busy()
}

// outage is a failure in which the origin gave no answer: the cache is
// disconnected, and may serve what is stale unless the origin forbade it (RFC
// 9111, section 4.2.4).
func outage(err error) error { return corral.Outage(corral.RetryAfter(err, errorPause)) }

// originAnswered reports whether a failure is an answer of the origin's.
func originAnswered(err error) bool { return answeredWith(err) != 0 }

// A page is an answer of the origin that counts as an error. It goes to the
// request that caused it; others are told the status.
type page struct {
	status int
	header http.Header
	body   []byte
}

// fail makes an answer an error, and keeps its page if it is whole and of
// bearable size. Retry-After is obeyed for all.
func (f *fetch) fail(res *http.Response, received time.Time) error {
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorPage+1))
	if err == nil && len(body) <= maxErrorPage {
		header := httpsem.StoredHeader(res.Header, received)
		f.tags(header)
		f.page.Store(&page{res.StatusCode, header, body})
	}
	return failed(res, received)
}

// failed is an answer as an error, which says how long the key is to rest.
func failed(res *http.Response, received time.Time) error {
	pause, ok := retryAfter(res.Header.Get("Retry-After"), received)
	if !ok {
		pause = errorPause
	}
	return corral.RetryAfter(&originError{res.StatusCode}, pause)
}

// isFailure reports whether an answer counts as an error.
func isFailure(status int) bool {
	return httpsem.OriginFailure(status) || status == http.StatusTooManyRequests
}

// retryAfter reads the field of RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter), true
	}
	return 0, false
}

// explain is the one function between errors and what clients are told of them.
func explain(err error) (code int, detail, text string) {
	number, status := numberOf(err), answeredWith(err)
	switch {
	case status != 0:
		return status, "origin-failed", (&originError{status}).Error()
	case errors.Is(err, errSlowContent):
		return http.StatusRequestTimeout, "invalid-request", errSlowContent.Error()
	case errors.Is(err, errContent):
		return http.StatusBadRequest, "invalid-request", errContent.Error()
	case errors.Is(err, corral.ErrLoadTimeout), errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "origin-timeout", "the origin did not answer in time"
	case errors.Is(err, corral.ErrOverloaded), number == numberBusy, isBusy(err):
		return http.StatusServiceUnavailable, "overloaded", "too much is being asked for at once"
	case errors.Is(err, corral.ErrUnavailable):
		return http.StatusServiceUnavailable, "unavailable", "no server of this group can answer for now"
	case errors.Is(err, corral.ErrClosed):
		return http.StatusServiceUnavailable, "closing", "this server is stopping"
	case number == numberUnreachable:
		return http.StatusBadGateway, "origin-unreachable", errUnreachable.Error()
	case number == numberNoAnswer:
		return http.StatusBadGateway, "origin-invalid", errNoAnswer.Error()
	}
	return http.StatusInternalServerError, "internal", "the request could not be answered"
}

// answerError tells a client of shared fetches why there is no answer.
func (x *exchange) answerError(fwd httpsem.Fwd, err error) decision {
	if x.r.Context().Err() == context.Canceled {
		// It has left, or closed its half. To reply would send an empty 200.
		return decision{way: abort, err: x.r.Context().Err()}
	}
	x.noteOrigin(x.f)
	s := httpsem.Status{Cache: x.c.Name, Fwd: fwd}
	if page := x.f.page.Load(); page != nil && errors.As(err, new(*originError)) {
		s.Detail = "origin-failed"
		return x.answerPage(page, s)
	}
	code, detail, text := explain(err)
	var failure *corral.LoadError
	if errors.As(err, &failure) && failure.RetryAfter > 0 {
		seconds := (failure.RetryAfter + time.Second - 1) / time.Second
		x.header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	s.Detail = detail
	out := x.fail(code, s, text)
	out.err = err
	return out
}

// answerPage gives the origin's own error page to the request that caused it.
func (x *exchange) answerPage(page *page, s httpsem.Status) decision {
	copyHeader(x.header, page.header)
	if x.r.Method != http.MethodHead {
		x.header.Set("Content-Length", strconv.Itoa(len(page.body)))
	}
	x.tell(s)
	return decision{reply: reply{code: page.status, text: page.body, bare: x.r.Method == http.MethodHead}}
}

// refuse answers a request that cannot be keyed, or whose end is in doubt. Its
// connection is closed: what follows on it may be anything.
func (x *exchange) refuse(err error) decision {
	code := http.StatusBadRequest
	switch {
	case errors.Is(err, httpsem.ErrMisdirected):
		code = http.StatusMisdirectedRequest
	case errors.Is(err, errExpect):
		code = http.StatusExpectationFailed
	}
	x.header.Set("Connection", "close")
	return x.fail(code, httpsem.Status{Detail: "invalid-request"}, err.Error())
}

// failCached is the answer to only-if-cached (RFC 9111, section 5.2.1.7).
func (x *exchange) failCached() decision {
	return x.fail(http.StatusGatewayTimeout, httpsem.Status{Detail: "only-if-cached"}, "not in the cache")
}

// tooMany is the answer to a client that asks for too many addresses that
// nobody has asked for.
func (x *exchange) tooMany() decision {
	x.header.Set("Retry-After", "60")
	return x.fail(http.StatusTooManyRequests, httpsem.Status{Detail: "keys-per-minute"}, "too many addresses at once")
}

// fail is an error of the cache's own.
func (x *exchange) fail(code int, s httpsem.Status, text string) decision {
	s.Cache = x.c.Name
	if code == http.StatusServiceUnavailable && len(x.header["Retry-After"]) == 0 {
		x.header.Set("Retry-After", "1")
	}
	x.header.Set("Content-Type", "text/plain; charset=utf-8")
	x.header.Set("Cache-Control", "no-store")
	x.header.Set("X-Content-Type-Options", "nosniff")
	x.tell(s)
	return decision{reply: reply{code: code, text: []byte(text + "\n"), bare: x.r.Method == http.MethodHead}}
}
