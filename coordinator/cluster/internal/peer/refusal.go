package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A refusal is why a peer gets no session. Both ends log it.
type refusal struct {
	code codes.Code
	text string
}

func (r *refusal) Error() string { return r.text }

// GRPCStatus is how the caller learns it.
func (r *refusal) GRPCStatus() *status.Status { return status.New(r.code, r.text) }

// refuse is for what somebody has to set right.
func refuse(format string, args ...any) error {
	return &refusal{codes.FailedPrecondition, fmt.Sprintf(format, args...)}
}

// later is for what passes by itself.
func later(format string, args ...any) error {
	return &refusal{codes.Unavailable, fmt.Sprintf(format, args...)}
}

// passes reports whether an error is expected to pass while nodes come and go.
func passes(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == codes.Unavailable
}

// reason is what an error of gRPC says, without gRPC's own words.
func reason(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// A quiet log says the same thing once a minute, and no more than a hundred
// things: strangers can make up as many as they like.
type quiet struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time
	said  map[string]struct{}
}

const (
	quietTime   = time.Minute
	quietThings = 100
)

func newQuiet(log *slog.Logger) *quiet { return &quiet{log: log} }

// say logs what happened with whom, and why, unless it was said within the
// minute. The other attributes may vary.
func (q *quiet) say(level slog.Level, what, whom, cause string, attributes ...any) {
	if q.news(what + " " + whom + " " + cause) {
		q.log.Log(context.Background(), level, "peer: "+what, append([]any{"peer", whom, "cause", cause}, attributes...)...)
	}
}

func (q *quiet) news(line string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.said == nil || time.Since(q.since) >= quietTime {
		q.said, q.since = map[string]struct{}{}, time.Now()
	}
	if _, said := q.said[line]; said || len(q.said) >= quietThings {
		return false
	}
	q.said[line] = struct{}{}
	return true
}
