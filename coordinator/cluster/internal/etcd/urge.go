package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Urge is Write for a transaction that can succeed once at most, because it puts
// what it requires: while no member answers, it is sent anew, to the next one,
// each time apart from the one before, for as long as within. What is handed to a
// leader as it dies is never answered, and on a slow network an answer takes its
// time: the first answer counts, whichever it is to. One that is not OK may come
// of an earlier sending that was; what the keys hold tells.
func (c *Client) Urge(ctx context.Context, t Txn, apart, within time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	type answer struct {
		result Result
		err    error
	}
	answers := make(chan answer, within/apart+1)
	again := time.NewTicker(apart)
	defer again.Stop()
	var last error
	for {
		asked := c.endpoints.pick()
		go func() {
			result, err := c.Write(ctx, t)
			answers <- answer{result, err}
		}()
	waiting:
		for {
			select {
			case a := <-answers:
				if !errors.Is(a.err, ErrUnknown) || errors.Is(a.err, ErrFull) {
					return a.result, a.err
				}
				last = a.err
			case <-again.C:
				c.endpoints.leave(asked)
				break waiting
			case <-ctx.Done():
				if last == nil {
					last = fmt.Errorf("etcd: write: %w: no member answers: %w", ErrUnknown, context.Cause(ctx))
				}
				return Result{}, last
			}
		}
	}
}
