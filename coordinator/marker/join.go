package marker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral"
)

// Join gives the value that the KV has, or a lease, or waits while there is a
// marker, looking every Config.Poll.
func (c *Coordinator) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	j := joining{c: c, request: request}
	for {
		answer, done, err := j.look(ctx)
		if err != nil {
			return corral.Answer{}, fmt.Errorf("%w: marker: join %q: %w", corral.ErrUnavailable, request.Key, err)
		}
		if done {
			return answer, nil
		}
		select {
		case <-time.After(c.conf.Poll):
		case <-ctx.Done():
			return corral.Answer{}, fmt.Errorf("marker: join %q: %w", request.Key, context.Cause(ctx))
		}
	}
}

// A joining is one Join. waited are the leases whose markers it has seen: it may
// have what they came to. One that was there before is not among them for a
// request that wants what was begun later.
type joining struct {
	c       *Coordinator
	request corral.Request
	looked  bool
	before  uint64
	waited  map[uint64]bool
}

// look reads marker and value once. It reports false when there is to be waited.
func (j *joining) look(ctx context.Context) (corral.Answer, bool, error) {
	revision := j.c.applied.Load()                              // M1
	marker, err := j.c.read(ctx, j.c.markerName(j.request.Key)) // M4
	if err != nil {
		return corral.Answer{}, false, err
	}
	have, err := j.c.read(ctx, j.c.valueName(j.request.Key))
	if err != nil {
		return corral.Answer{}, false, err
	}
	record := j.record(have, revision)
	if j.answers(have, record) {
		return corral.Answer{Kind: corral.AnswerValue, Record: record}, true, nil
	}
	if marker != nil && marker.kind == inProgress {
		j.sees(marker)
		if stale := record != nil && !j.request.Fresh && !j.request.NoStale && !j.request.Refresh && record.TTL > -record.StaleFor; stale {
			return corral.Answer{Kind: corral.AnswerStale, Record: record}, true, nil
		}
		return corral.Answer{}, false, nil
	}
	j.looked = true
	if answer, is := j.outcome(marker, revision); is {
		return answer, true, nil
	}
	if j.request.Lapsed {
		return corral.Answer{Kind: corral.AnswerUnavailable}, true, nil
	}
	return j.take(ctx, record)
}

// sees notes whose marker there is.
func (j *joining) sees(marker *entry) {
	if !j.looked {
		j.looked, j.before = true, marker.id
	}
	if j.waited == nil {
		j.waited = map[uint64]bool{}
	}
	j.waited[marker.id] = !j.request.Fresh || marker.id != j.before
}

// record is what a value of the KV is to this request.
func (j *joining) record(have *entry, revision uint64) *corral.Record {
	if have == nil {
		return nil
	}
	record := have.decode(j.request.Key, time.Now())
	if record == nil {
		return nil
	}
	record.Revision = revision
	if record.BodySize >= 0 {
		record.Body, record.BodySize = io.NopCloser(bytes.NewReader(have.body)), int64(len(have.body))
	}
	return record
}

// answers reports whether a value is fresh, and new enough for the request.
func (j *joining) answers(have *entry, record *corral.Record) bool {
	switch {
	case record == nil || record.TTL <= 0:
		return false
	case j.request.Fresh:
		return j.waited[have.id]
	case j.request.Refresh:
		return j.waited[have.id] || j.request.Previous != nil && record.Age < j.request.Previous.Age
	}
	return true
}

// outcome is what a marker says that a lease came to, if it is for this request.
func (j *joining) outcome(marker *entry, revision uint64) (corral.Answer, bool) {
	if marker == nil || j.request.Fresh && !j.waited[marker.id] {
		return corral.Answer{}, false
	}
	left := marker.pause - marker.old(time.Now())
	switch marker.kind {
	case failed:
		if left > 0 || j.waited[marker.id] {
			return corral.Answer{Kind: corral.AnswerError, Err: corral.DecodeError(marker.code, marker.text), RetryAfter: max(0, left)}, true
		}
	case passed:
		if left > 0 || j.waited[marker.id] {
			return corral.Answer{Kind: corral.AnswerPass}, true
		}
	case shared:
		if record := j.record(marker, revision); record != nil && j.waited[marker.id] {
			return corral.Answer{Kind: corral.AnswerValue, Record: record}, true
		}
	}
	return corral.Answer{}, false
}

// take puts a marker of this process. Whoever else has seen none does the same.
func (j *joining) take(ctx context.Context, previous *corral.Record) (corral.Answer, bool, error) {
	l := newLease(j.c, j.request.Key, rand.Uint64())
	if err := l.mark(ctx); err != nil {
		return corral.Answer{}, false, err
	}
	return corral.Answer{Kind: corral.AnswerLease, Lease: l, Record: previous}, true, nil
}

// read gives an entry of the KV, or nil. What is not one counts as nothing.
func (c *Coordinator) read(ctx context.Context, name string) (*entry, error) {
	data, err := c.conf.KV.Get(ctx, name)
	if err != nil || data == nil {
		return nil, err
	}
	e, err := parseEntry(name, data)
	if err != nil {
		return nil, nil
	}
	return e, nil
}
