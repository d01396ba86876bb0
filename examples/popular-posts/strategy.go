package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// key is under what the list is kept.
const key = "posts:popular"

// A strategy gives the list, out of the cache or from the query.
type strategy func(ctx context.Context) ([]Post, error)

// A service has what strategies are made of.
type service struct {
	redis rueidis.Client
	query func(context.Context) ([]Post, error) // slow
	ttl   time.Duration                         // how old the list may be
}

// strategies are all that -strategy knows. Each is in a file of its name.
func (s *service) strategies() map[string]strategy {
	return map[string]strategy{
		"cache-aside":            s.cacheAside,
		"tutorial-lock":          s.tutorialLock,
		"xfetch":                 s.xfetch,
		"stale-while-revalidate": s.staleWhileRevalidate,
		"single-flight":          s.singleFlight(),
	}
}

// choose finds a strategy by its name.
func (s *service) choose(name string) (strategy, error) {
	all := s.strategies()
	if chosen, ok := all[name]; ok {
		return chosen, nil
	}
	return nil, fmt.Errorf("-strategy is %q: set one of %s", name, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
}

// get reads what is under key from Redis into value, and reports whether there
// was anything.
func (s *service) get(ctx context.Context, value any) (bool, error) {
	err := s.redis.Do(ctx, s.redis.B().Get().Key(key).Build()).DecodeJSON(value)
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return err == nil, err
}

// set writes value under key to Redis, for ttl.
func (s *service) set(ctx context.Context, value any, ttl time.Duration) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.redis.Do(ctx, s.redis.B().Set().Key(key).Value(string(data)).Px(ttl).Build()).Error()
}

// queryAndSet runs the query and keeps what it gave for the service's TTL.
func (s *service) queryAndSet(ctx context.Context) ([]Post, error) {
	list, err := s.query(ctx)
	if err != nil {
		return nil, err
	}
	return list, s.set(ctx, list, s.ttl)
}
