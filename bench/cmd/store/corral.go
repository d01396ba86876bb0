package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/redislock"
	"github.com/corralcache/corral/internal/localserver"
)

// A corralled is a cache of Corral whose Coordinator is a Redis.
type corralled struct {
	*corral.Cache[[]byte]
	lock *redislock.Coordinator
}

func openCorral(ctx context.Context, s Start, load loader) (cache, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	lock, err := redislock.Open(ctx, redislock.Config{Redis: redislock.Redis{Addresses: []string{s.Redis}}, Lease: s.Lease, Log: log})
	if err != nil {
		return nil, err
	}
	c, err := corral.New(corral.LoaderFunc[[]byte](func(ctx context.Context, key string, _ *corral.Item[[]byte]) (corral.Item[[]byte], error) {
		value, err := load(ctx, key)
		return corral.Item[[]byte]{Value: value}, err
	}), corral.Options[[]byte]{
		Name: "bench", MaxBytes: 64 << 20, TTL: lifetime, LoadTimeout: time.Hour, Codec: codec.Bytes{}, Coordinator: lock, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &corralled{c, lock}, nil
}

// Close implements cache.
func (c *corralled) Close() error { return errors.Join(c.Cache.Close(), c.lock.Close()) }

// corralLapse is when the lease ends that stands in the key's hash, in
// microseconds of Redis's clock.
func corralLapse(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	names, err := redis.Do(ctx, "KEYS", "*"+key+"*")
	if err != nil {
		return 0, err
	}
	name, _, _ := strings.Cut(names, "\n")
	deadline, err := redis.Do(ctx, "HGET", name, "deadline")
	if err != nil {
		return 0, err
	}
	clock, err := redis.Do(ctx, "TIME")
	if err != nil {
		return 0, err
	}
	seconds, micros, _ := strings.Cut(clock, "\n")
	numbers := make([]int64, 3)
	for i, text := range []string{deadline, seconds, micros} {
		if numbers[i], err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
			return 0, err
		}
	}
	return time.Duration(numbers[0]-numbers[1]*1e6-numbers[2]) * time.Microsecond, nil
}
