package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/internal/localserver"
	"github.com/corralcache/corral/store/disk"
	"github.com/corralcache/corral/store/redis"
)

// A stored is a store of Corral's, asked as a cache asks it.
type stored struct {
	corral.Store
	closing func() error
}

func openStore(dir string) (*disk.Store, error) {
	return disk.Open(disk.Options{Dir: dir, MaxBytes: 16 << 30, Memory: memory, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

func openDisk(dir string) (shelf, error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	return &stored{store, store.Close}, store.Bind("")
}

// openRedis opens store/redis before a Redis of its own.
func openRedis(dir string) (shelf, error) {
	server, err := localserver.StartRedis(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	store, err := redis.Open(redis.Options{Redis: redis.Config{Addresses: []string{server.Addr()}}, SoftTimeout: time.Second})
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &stored{store, func() error { return errors.Join(store.Close(), server.Stop()) }}, store.Bind("")
}

// Put implements shelf.
func (s *stored) Put(key string, value []byte) error {
	return s.Store.Put(context.Background(), key, &corral.Record{
		Value: value, Revision: 1, Outcome: corral.Keep, TTL: lifetime, StaleFor: lifetime, Cost: lifetime / 1000,
	})
}

// Get implements shelf.
func (s *stored) Get(key string) ([]byte, error) {
	record, err := s.Store.Get(context.Background(), key)
	if err != nil || record == nil {
		return nil, err
	}
	return record.Value, nil
}

// Close implements shelf.
func (s *stored) Close() error { return s.closing() }

// openCached opens a cache before a disk, with an origin that counts its calls.
func openCached(dir string, calls *int) (*corral.Cache[[]byte], error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	return corral.New(corral.LoaderFunc[[]byte](func(context.Context, string, *corral.Item[[]byte]) (corral.Item[[]byte], error) {
		*calls++ // one caller asks, for one key after the other
		return corral.Item[[]byte]{Value: make([]byte, valueBytes)}, nil
	}), corral.Options[[]byte]{Name: "bench", MaxBytes: 64 << 20, TTL: lifetime, Codec: codec.Bytes{}, Store: store})
}
