package main

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidisaside"

	"github.com/corralcache/corral/internal/localserver"
)

// An aside is rueidisaside: a placeholder with the client's name stands for the
// value while it is computed, who waits is woken by client-side caching, and a
// marker that its client renews says that the client lives.
type aside struct {
	client rueidisaside.CacheAsideClient
	load   func(ctx context.Context, key string) (string, error)
}

func openAside(_ context.Context, s Start, load loader) (cache, error) {
	client, err := rueidisaside.NewClient(rueidisaside.ClientOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{s.Redis}}, ClientTTL: s.Lock,
	})
	if err != nil {
		return nil, err
	}
	return &aside{client: client, load: func(ctx context.Context, key string) (string, error) {
		value, err := load(ctx, key)
		return rueidis.BinaryString(value), err
	}}, nil
}

// Get implements cache.
func (a *aside) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := a.client.Get(ctx, lifetime, key, a.load)
	return []byte(value), err
}

// Close implements cache.
func (a *aside) Close() error {
	a.client.Close()
	return nil
}

// asideLapse is when the marker of the client ends whose placeholder the key has.
func asideLapse(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	client, err := redis.Do(ctx, "GET", key)
	if err != nil {
		return 0, err
	}
	return remaining(ctx, redis, client)
}
