package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/rueidis"
)

// staleFor is for how long an expired list is still handed out.
const staleFor = time.Minute

// staleWhileRevalidate keeps the list longer than it is fresh, and hands it out
// while one caller, who has the lock, has it read anew. Nobody waits at an
// expiry, and everybody is told what is out of date. A list that is not there
// yet, or that nobody wanted for a while, is asked for by everybody.
func (s *service) staleWhileRevalidate(ctx context.Context) (List, error) {
	var kept timed
	found, err := s.get(ctx, &kept)
	if err != nil {
		return List{}, err
	}
	if !found {
		return s.revalidate(ctx)
	}
	if time.Now().After(kept.Until) {
		err := s.redis.Do(ctx, s.redis.B().Set().Key(key+":refresh").Value("1").Nx().Px(lockTTL).Build()).Error()
		if err == nil {
			go s.refresh(context.WithoutCancel(ctx))
		} else if !rueidis.IsRedisNil(err) {
			return List{}, err
		}
	}
	return kept.List, nil
}

// refresh reads the list anew behind the caller who found it expired.
func (s *service) refresh(ctx context.Context) {
	if _, err := s.revalidate(ctx); err != nil {
		slog.Warn("the list stays as it is", "err", err)
	}
	if err := s.redis.Do(ctx, s.redis.B().Del().Key(key+":refresh").Build()).Error(); err != nil {
		slog.Warn("the lock stays until it expires", "err", err)
	}
}

func (s *service) revalidate(ctx context.Context) (List, error) {
	list, err := s.query(ctx)
	if err != nil {
		return List{}, err
	}
	return list, s.set(ctx, timed{List: list, Until: time.Now().Add(s.ttl)}, s.ttl+staleFor)
}
