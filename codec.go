package corral

import (
	"errors"
	"fmt"
	"time"
)

// decode makes a record of this process out of one from elsewhere.
func (c *Cache[V]) decode(key string, version uint64, from *Record) (r *record[V], weight int64, err error) {
	if from == nil {
		return nil, 0, errors.New("corral: a coordinator or store answered without a record")
	}
	value, err := c.decodeValue(from.Value)
	if err != nil {
		return nil, 0, err
	}
	size, err := c.sizeOf(value)
	if err != nil {
		return nil, 0, err
	}
	now := c.now()
	r = &record[V]{
		value: value, born: now - int64(from.Age), expiry: later(now, from.TTL),
		revision: from.Revision, stamp: stamp(version) | elsewhere,
	}
	weight = c.overhead(key) + size
	w := windows{staleFor: from.StaleFor, staleOnError: from.StaleOnError, staleOnOutage: from.StaleOnOutage, beta: from.EarlyRefresh}
	if from.Outcome == Keep && from.Body == nil && c.plainly(w, from.Tags, from.Validator) {
		return r, weight, nil
	}
	w.cost = from.Cost
	r.more = &more{windows: w, outcome: from.Outcome, tags: from.Tags, slots: c.rules.slots(from.Tags), validator: from.Validator}
	return r, weight + r.more.bytes(), nil
}

// plainly reports whether a value has nothing beside the cache's own windows.
// What it has cost is of use for XFetch only.
func (c *Cache[V]) plainly(w windows, tags []string, validator string) bool {
	return w == c.standard && w.beta == 0 && len(tags) == 0 && validator == ""
}

// bytes is what more takes, without a body.
func (m *more) bytes() int64 {
	n := moreBytes + int64(len(m.validator))
	for _, tag := range m.tags {
		n += tagBytes + int64(len(tag))
	}
	return n
}

func (c *Cache[V]) decodeValue(data []byte) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.Codec panicked in Decode: %w", caught(p))
		}
	}()
	if value, err = c.o.Codec.Decode(data); err != nil {
		return value, fmt.Errorf("corral: decode: %w", err)
	}
	return value, nil
}

// encode makes a record for elsewhere.
func (c *Cache[V]) encode(r *record[V]) (to *Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.Codec panicked in Encode: %w", caught(p))
		}
	}()
	to = c.describeRecord(r)
	if to.Value, err = c.o.Codec.Encode(r.value); err != nil {
		return nil, fmt.Errorf("corral: encode: %w", err)
	}
	return to, nil
}

// describeRecord is a record for elsewhere without its value.
func (c *Cache[V]) describeRecord(r *record[V]) *Record {
	now := c.now()
	w := c.windowsOf(r)
	to := &Record{
		BodySize: -1, Revision: r.revision,
		Age: time.Duration(now - r.born), TTL: remaining(r.expiry, now),
		StaleFor: w.staleFor, StaleOnError: w.staleOnError, StaleOnOutage: w.staleOnOutage, EarlyRefresh: w.beta, Cost: w.cost,
	}
	if r.more != nil {
		to.Tags, to.Validator, to.Outcome = r.more.tags, r.more.validator, r.more.outcome
	}
	return to
}

func closeBody(record *Record) {
	if record != nil && record.Body != nil {
		record.Body.Close()
	}
}

// remaining is the time from now to an instant, Forever for one without end.
func remaining(instant, now int64) time.Duration {
	if instant >= later(0, Forever) {
		return Forever
	}
	return time.Duration(instant - now)
}
