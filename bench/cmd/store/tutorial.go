package main

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral/internal/localserver"
)

// A tutorial is what tutorials write: look, take a lock that lasts ten seconds,
// look again, compute, write, release the lock if it is still one's own; who has
// not got it looks from time to time and, when that has taken too long, computes.
// It keeps nothing in the process, and of an error nobody but its caller hears.
type tutorial struct {
	client rueidis.Client
	load   loader
	lock   time.Duration
	pause  time.Duration // between two looks
	looks  int           // then it is computed anyway
}

// openTutorial opens one with a pause between looks, and so many looks.
func openTutorial(pause time.Duration, looks int) func(context.Context, Start, loader) (cache, error) {
	return func(_ context.Context, s Start, load loader) (cache, error) {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Redis}})
		if err != nil {
			return nil, err
		}
		return &tutorial{client: client, load: load, lock: s.Lock, pause: pause, looks: looks}, nil
	}
}

// release deletes a lock if it has the token.
var release = rueidis.NewLuaScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

func lockOf(key string) string { return "lock:" + key }

// Get implements cache.
func (t *tutorial) Get(ctx context.Context, key string) ([]byte, error) {
	if value, err := t.look(ctx, key); err != nil || value != nil {
		return value, err
	}
	token := rand.Text()
	err := t.client.Do(ctx, t.client.B().Set().Key(lockOf(key)).Value(token).Nx().Px(t.lock).Build()).Error()
	switch {
	case err == nil:
		defer release.Exec(context.WithoutCancel(ctx), t.client, []string{lockOf(key)}, []string{token})
		if value, err := t.look(ctx, key); err != nil || value != nil {
			return value, err
		}
		return t.compute(ctx, key)
	case !rueidis.IsRedisNil(err):
		return nil, err
	}
	for range t.looks {
		select {
		case <-time.After(t.pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if value, err := t.look(ctx, key); err != nil || value != nil {
			return value, err
		}
	}
	return t.compute(ctx, key)
}

// look returns nil if there is no value.
func (t *tutorial) look(ctx context.Context, key string) ([]byte, error) {
	value, err := t.client.Do(ctx, t.client.B().Get().Key(key).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return value, err
}

func (t *tutorial) compute(ctx context.Context, key string) ([]byte, error) {
	value, err := t.load(ctx, key)
	if err != nil {
		return nil, err
	}
	return value, t.client.Do(ctx, t.client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Px(lifetime).Build()).Error()
}

// Close implements cache.
func (t *tutorial) Close() error {
	t.client.Close()
	return nil
}

// tutorialLapse is when the lock ends by itself.
func tutorialLapse(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	return remaining(ctx, redis, lockOf(key))
}

// remaining is how long Redis keeps a key; nothing if it is not there.
func remaining(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error) {
	answer, err := redis.Do(ctx, "PTTL", key)
	if err != nil {
		return 0, err
	}
	milliseconds, err := strconv.Atoi(answer)
	return max(0, time.Duration(milliseconds)*time.Millisecond), err
}
