package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/redislock"
)

// maxBytes is what one process keeps at most, in its own memory.
const maxBytes = 16 << 20

// corral gives the list out of this process's memory. When it is not there or
// has expired, Redis lets one of all processes ask the database, and hands what
// that came to, an error too, to everybody who waits. With staleFor nobody waits
// for what has expired within it.
func (s *service) corral(staleFor time.Duration) (strategy, func(), error) {
	lock, err := redislock.Open(context.Background(), redislock.Config{
		Redis:  redislock.Redis{Addresses: []string{s.address}},
		Prefix: "corral:lists:",
	})
	if err != nil {
		return nil, nil, err
	}
	query := func(ctx context.Context, _ string) (List, error) { return s.query(ctx) }
	lists, err := corral.New(corral.Func(query), corral.Options[List]{
		Name: "lists", TTL: s.ttl, StaleFor: staleFor, MaxBytes: maxBytes,
		Coordinator: lock, Codec: codec.JSON[List]{},
	})
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	end := func() {
		if err := errors.Join(lists.Close(), lock.Close()); err != nil {
			slog.Warn("the cache has not ended in order", "err", err)
		}
	}
	return func(ctx context.Context) (List, error) { return lists.Get(ctx, key) }, end, nil
}
