package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// An accessLine is what the access log says of one request.
type accessLine struct {
	end         time.Time
	duration    time.Duration
	id          string
	client      string
	method      string
	host        string
	path        string // without the query, which may hold secrets
	proto       string
	cacheStatus string
	status      int
	bytes       int64
	originTime  time.Duration // to the origin's header; 0: it was not asked
	originCode  int           // what it answered; 0: nothing
	aborted     bool          // the answer broke off
}

// maxLogged is how many bytes of a text that a client sent a line repeats, so
// that waiting lines are bounded in bytes, not only in number.
const maxLogged = 1024

func (l *accessLine) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("id", l.id),
		slog.String("client", l.client),
		slog.String("method", l.method),
		slog.String("host", l.host),
		slog.String("path", l.path),
		slog.String("proto", l.proto),
		slog.Int("status", l.status),
		slog.Int64("bytes", l.bytes),
		slog.Float64("duration_ms", milliseconds(l.duration)),
	}
	if l.originTime > 0 {
		attrs = append(attrs, slog.Float64("origin_ms", milliseconds(l.originTime)), slog.Int("origin_status", l.originCode))
	}
	if l.cacheStatus != "" {
		attrs = append(attrs, slog.String("cache", l.cacheStatus))
	}
	if l.aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	return attrs
}

// milliseconds rounds to microseconds.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// An accessLog writes lines in a goroutine of its own, so that a slow reader of
// standard output never slows a request.
type accessLog struct {
	lines   chan *accessLine // never closed: a handler that was cut off may still end
	closing chan struct{}    // closed by close
	ended   chan struct{}    // closed when the last line is written
	dropped atomic.Uint64    // lines without room in the channel, or that could not be written
}

func newAccessLog(w io.Writer, format Format, buffer int) *accessLog {
	l := &accessLog{lines: make(chan *accessLine, buffer), closing: make(chan struct{}), ended: make(chan struct{})}
	go l.run(w, format)
	return l
}

// add never waits.
func (l *accessLog) add(line *accessLine) {
	select {
	case l.lines <- line:
	default:
		l.dropped.Add(1)
	}
}

// run writes what comes, in large pieces while there is more to come.
func (l *accessLog) run(w io.Writer, format Format) {
	defer close(l.ended)
	buffered := bufio.NewWriterSize(w, 64<<10)
	handler := NewLogHandler(buffered, format, slog.LevelInfo)
	for {
		select {
		case line := <-l.lines:
			l.write(handler, line)
			if len(l.lines) == 0 && buffered.Flush() != nil {
				l.dropped.Add(1)
				buffered.Reset(w) // a bufio.Writer keeps its first error for ever
			}
		case <-l.closing:
			for len(l.lines) > 0 {
				l.write(handler, <-l.lines)
			}
			buffered.Flush()
			return
		}
	}
}

func (l *accessLog) write(handler slog.Handler, line *accessLine) {
	record := slog.NewRecord(line.end, slog.LevelInfo, "request", 0)
	record.AddAttrs(line.attrs()...)
	if handler.Handle(context.Background(), record) != nil {
		l.dropped.Add(1)
	}
}

// close waits for the last lines to be written, not longer than timeout: the
// reader may be stuck, and then the goroutine stays until the process ends.
func (l *accessLog) close(timeout time.Duration) {
	close(l.closing)
	select {
	case <-l.ended:
	case <-time.After(timeout):
	}
}

// NewLogHandler is the form of both logs: one line a record.
func NewLogHandler(w io.Writer, format Format, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == Text {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}
