package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// key is under what the list is kept.
const key = "posts:popular"

// A strategy gives the list, out of the cache or from the query.
type strategy func(ctx context.Context) (List, error)

// A service has what strategies are made of.
type service struct {
	address string // of Redis
	redis   rueidis.Client
	query   func(context.Context) (List, error) // slow
	ttl     time.Duration                       // how old the list may be
}

// strategies are the names that -strategy knows. Each is in a file of its name.
var strategies = []string{"cache-aside", "tutorial-lock", "xfetch", "stale-while-revalidate", "single-flight", "corral", "corral-stale"}

// choose gives a strategy by its name, and what ends it.
func (s *service) choose(name string) (list strategy, end func(), err error) {
	end = func() {}
	switch name {
	case "cache-aside":
		list = s.cacheAside
	case "tutorial-lock":
		list = s.tutorialLock
	case "xfetch":
		list = s.xfetch
	case "stale-while-revalidate":
		list = s.staleWhileRevalidate
	case "single-flight":
		list = s.singleFlight()
	case "corral":
		list, end, err = s.corral(0)
	case "corral-stale":
		list, end, err = s.corral(staleFor)
	default:
		err = fmt.Errorf("-strategy is %q: set one of %s", name, strings.Join(strategies, ", "))
	}
	return list, end, err
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
func (s *service) queryAndSet(ctx context.Context) (List, error) {
	list, err := s.query(ctx)
	if err != nil {
		return List{}, err
	}
	return list, s.set(ctx, list, s.ttl)
}
