package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/marker"
	"github.com/corralcache/corral/coordinator/redislock"
	"github.com/corralcache/corral/internal/localserver"
)

// A corralled is a cache of Corral that shares its keys by a Redis.
type corralled struct {
	*corral.Cache[[]byte]
	closing func() error // of its Coordinator
}

func openCorral(ctx context.Context, s Start, load loader) (cache, error) {
	lock, err := redislock.Open(ctx, redislock.Config{Redis: redislock.Redis{Addresses: []string{s.Redis}}, Lease: s.Lease, Log: childLog()})
	if err != nil {
		return nil, err
	}
	return openCache(lock, load, lock.Close)
}

// openMarker opens the weak pattern, which is there for comparison.
func openMarker(_ context.Context, s Start, load loader) (cache, error) {
	kv, err := marker.OpenRedis(marker.RedisConfig{Addresses: []string{s.Redis}})
	if err != nil {
		return nil, err
	}
	closing := func() error { kv.Close(); return nil }
	coordinator, err := marker.Open(marker.Config{KV: kv, Lease: s.Lease})
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	return openCache(coordinator, load, closing)
}

// openCache opens a cache with a Coordinator, which is closed after it.
func openCache(coordinator corral.Coordinator, load loader, closing func() error) (cache, error) {
	c, err := corral.New(corral.LoaderFunc[[]byte](func(ctx context.Context, key string, _ *corral.Item[[]byte]) (corral.Item[[]byte], error) {
		value, err := load(ctx, key)
		return corral.Item[[]byte]{Value: value}, err
	}), corral.Options[[]byte]{
		Name: "bench", MaxBytes: 64 << 20, TTL: lifetime, LoadTimeout: time.Hour, Codec: codec.Bytes{}, Coordinator: coordinator, Logger: childLog(),
	})
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	return &corralled{c, closing}, nil
}

// childLog goes to the file of the process.
func childLog() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// Close implements cache.
func (c *corralled) Close() error { return errors.Join(c.Cache.Close(), c.closing()) }

// markerLapse is when the marker of a key expires.
func markerLapse(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	name, err := nameOf(ctx, redis, key)
	if err != nil {
		return 0, err
	}
	return remaining(ctx, redis, name)
}

// nameOf is the name in Redis of what Corral has of a key that begins no other.
func nameOf(ctx context.Context, redis *localserver.RedisServer, key string) (string, error) {
	names, err := redis.Do(ctx, "KEYS", "*"+key+"*")
	if err == nil && names == "" {
		err = fmt.Errorf("key %q: Redis has nothing of it", key)
	}
	name, _, _ := strings.Cut(names, "\n")
	return name, err
}

// corralLapse is when the lease ends that stands in the key's hash, in
// microseconds of Redis's clock.
func corralLapse(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	name, err := nameOf(ctx, redis, key)
	if err != nil {
		return 0, err
	}
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
