package main

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// singleFlight is cache-aside in which callers of one process share what the
// first of them does. Each process still does it once, and what began first
// must not end because its caller has left.
func (s *service) singleFlight() strategy {
	var flights singleflight.Group
	return func(ctx context.Context) (List, error) {
		done := flights.DoChan(key, func() (any, error) {
			return s.cacheAside(context.WithoutCancel(ctx))
		})
		select {
		case result := <-done:
			list, _ := result.Val.(List)
			return list, result.Err
		case <-ctx.Done():
			return List{}, ctx.Err()
		}
	}
}
