package server

import (
	"bufio"
	"crypto/rand"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// requestID is the header field that names a request in the access log and
// tells its name to the client.
const requestID = "X-Request-Id"

// observe counts, times and logs each request that next answers.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		s.inFlight.Add(1)
		rec := &recorder{ResponseWriter: w, id: idOf(r)}
		finished := false
		// Deferred, because a handler panics with http.ErrAbortHandler to
		// break off an answer whose rest did not come.
		defer func() {
			s.inFlight.Add(-1)
			s.ended.Add(1)
			s.record(rec, r, start, !finished)
		}()
		next.ServeHTTP(rec, r)
		finished = true
	})
}

// idOf takes the client's name of the request if it is a modest one, so that
// it can be followed through several servers, and makes one otherwise.
func idOf(r *http.Request) string {
	id := r.Header.Get(requestID)
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return idPrefix + strconv.FormatUint(ids.Add(1), 36)
	}
	return id
}

// Names of requests that the client gave none begin with what tells this
// process from all others.
var (
	idPrefix = rand.Text()[:16] + "-"
	ids      atomic.Uint64
)

func (s *Server) record(rec *recorder, r *http.Request, start time.Time, aborted bool) {
	trace := &rec.trace
	end := time.Now()
	if rec.status == 0 && !aborted {
		rec.status = http.StatusOK // net/http writes it for a handler that wrote nothing
	}
	s.metrics.request(rec.status, outcome(trace.Status), rec.bytes, end.Sub(start))
	if s.access == nil {
		return
	}
	s.access.add(&accessLine{
		end:         end,
		duration:    end.Sub(start),
		id:          rec.id,
		client:      clientOf(r, trace),
		method:      shorten(r.Method),
		host:        shorten(r.Host),
		path:        shorten(r.URL.EscapedPath()),
		proto:       shorten(r.Proto),
		cacheStatus: trace.Status,
		originTime:  trace.OriginTime,
		originCode:  trace.OriginCode,
		status:      rec.status,
		bytes:       rec.bytes,
		aborted:     aborted,
	})
}

// clientOf is who made a request, as far as trusted proxies tell.
func clientOf(r *http.Request, trace *httpcache.Trace) string {
	if trace.Client.IsValid() {
		return trace.Client.String()
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return client
}

// outcomes are the values that the label result has: the parameter fwd of RFC
// 9211, section 2.2, or what stands instead of it.
var outcomes = map[string]string{
	"bypass": "bypass", "method": "method", "uri-miss": "uri-miss", "vary-miss": "vary-miss",
	"miss": "miss", "request": "request", "stale": "stale", "partial": "partial",
}

// outcome is the kind of answer that a member of Cache-Status tells of: hit,
// collapsed when another's request to the origin answered this one, or why the
// origin was asked. It is "none" when the cache had no say.
func outcome(status string) string {
	kind := "none"
	for param := range strings.SplitSeq(status, ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(param), "="); name {
		case "hit", "collapsed":
			return name
		case "key", "detail": // what follows may repeat what a client sent
			return kind
		case "fwd":
			if known := outcomes[value]; known != "" {
				kind = known
			}
		}
	}
	return kind
}

// shorten copies what a line repeats of a text, for the text is part of the
// whole request line, which would otherwise stay in memory with it.
func shorten(text string) string {
	if len(text) > maxLogged {
		return text[:maxLogged] + "…"
	}
	return strings.Clone(text)
}

// A recorder notes what a handler answers.
type recorder struct {
	http.ResponseWriter
	id     string
	trace  httpcache.Trace
	status int   // 0: none yet
	bytes  int64 // of the body
}

// HTTPTrace is where the handler tells what the access log has of it.
func (r *recorder) HTTPTrace() *httpcache.Trace { return &r.trace }

func (r *recorder) WriteHeader(status int) {
	if final := status >= 200 || status == http.StatusSwitchingProtocols; final && r.status == 0 {
		r.status = status
		r.Header().Set(requestID, r.id)
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Flush may be what sends the header.
func (r *recorder) FlushError() error {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// Hijack hands over the connection; what passes through it is not counted.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// Unwrap is how http.ResponseController finds the rest.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
