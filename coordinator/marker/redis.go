package marker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral/internal/redisconn"
)

// A RedisConfig says which Redis, and how to reach it.
type RedisConfig = redisconn.Config

// A Redis is a KV of plain GET, SET with PX, and DEL: what the pattern is made
// of, and nothing that Redis could do better.
type Redis struct{ client *redisconn.Client }

var _ KV = (*Redis)(nil)

// OpenRedis makes a KV on a Redis, which need not be there yet.
func OpenRedis(conf RedisConfig) (*Redis, error) {
	client, err := redisconn.Open(conf, nil)
	if err != nil {
		return nil, fmt.Errorf("marker: %w", err)
	}
	return &Redis{client}, nil
}

// Close ends the connections.
func (r *Redis) Close() { r.client.Close() }

// Get is GET.
func (r *Redis) Get(ctx context.Context, key string) ([]byte, error) {
	var data []byte
	err := r.do(ctx, func() (err error) {
		data, err = r.client.Do(ctx, r.client.B().Get().Key(key).Build()).AsBytes()
		return err
	})
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return data, wrapped("get", key, err)
}

// Put is SET with PX, whose unit is a millisecond.
func (r *Redis) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	const unit = time.Millisecond
	return wrapped("set", key, r.do(ctx, func() error {
		command := r.client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Px(max(unit, ttl)).Build()
		return r.client.Do(ctx, command).Error()
	}))
}

// Delete is DEL.
func (r *Redis) Delete(ctx context.Context, key string) error {
	return wrapped("del", key, r.do(ctx, func() error {
		return r.client.Do(ctx, r.client.B().Del().Key(key).Build()).Error()
	}))
}

// do makes a call once the server has been reached: which commands it takes is
// not known before.
func (r *Redis) do(ctx context.Context, call func() error) error {
	if err := r.client.Ready(ctx); err != nil {
		return err
	}
	return call()
}

func wrapped(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("marker: %s %.64q: %w", operation, key, redisconn.Explain(err))
}
