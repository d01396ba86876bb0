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
		revision: from.Revision, version: version,
		more: &more{
			windows: windows{
				staleFor: from.StaleFor, staleOnError: from.StaleOnError, staleOnOutage: from.StaleOnOutage,
				beta: from.EarlyRefresh, cost: from.Cost,
			},
			outcome: from.Outcome, tags: from.Tags, slots: c.rules.slots(from.Tags), validator: from.Validator, elsewhere: true,
		},
	}
	weight = c.overhead(key) + size + moreBytes + int64(len(from.Validator))
	for _, tag := range from.Tags {
		weight += tagBytes + int64(len(tag))
	}
	return r, weight, nil
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
