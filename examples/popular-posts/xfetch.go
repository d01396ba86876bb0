package main

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// beta is XFetch's β: 1 is the paper's choice, more is earlier.
const beta = 1

// A timed list knows how long its query took and until when it is fresh.
type timed struct {
	List  List          `json:"list"`
	Delta time.Duration `json:"delta"`
	Until time.Time     `json:"until"`
}

// xfetch runs the query before the list expires, with a probability that grows
// towards the end (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
// Stampede Prevention, PVLDB 8(8), 2015). About e callers do so at each expiry,
// and each of them waits for its query. A list that is not there yet is asked for
// by everybody.
func (s *service) xfetch(ctx context.Context) (List, error) {
	var kept timed
	found, err := s.get(ctx, &kept)
	if err != nil {
		return List{}, err
	}
	early := time.Duration(float64(kept.Delta) * beta * -math.Log(1-rand.Float64())) // of (0, 1], so that the logarithm is finite
	if found && time.Now().Add(early).Before(kept.Until) {
		return kept.List, nil
	}
	start := time.Now()
	list, err := s.query(ctx)
	if err != nil {
		return List{}, err
	}
	now := time.Now()
	return list, s.set(ctx, timed{List: list, Delta: now.Sub(start), Until: now.Add(s.ttl)}, s.ttl)
}
