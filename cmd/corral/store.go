package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/corralcache/corral/httpcache"
	"github.com/corralcache/corral/server"
	"github.com/corralcache/corral/store/disk"
	"github.com/corralcache/corral/store/redis"
)

// storeCommands are "corral store …".
type storeCommands struct {
	Stat   storeStat   `cmd:"" help:"Print what a store is, and how much is in it."`
	Ls     storeLs     `cmd:"" help:"Print what is in a store, a key a line."`
	Get    storeGet    `cmd:"" help:"Print what a store has under a key: its times and tags, and the answer."`
	Rm     storeRm     `cmd:"" help:"Take keys out of a store; of a running serve, out of its memory and of all nodes as well."`
	Verify storeVerify `cmd:"" help:"Read everything in a store, and name and take out what is broken. Exit code 1 when something was."`
}

// A storeSource says which store is meant.
type storeSource struct {
	Dir string `name:"dir" flagonly:"" placeholder:"DIRECTORY" help:"Directory of store.dir, which no process has open: the store itself, instead of a running serve."`

	RedisURL       server.RedisURL `name:"redis.url" flagonly:"" placeholder:"URL" help:"Redis of store.redis.url, as redis://127.0.0.1:6379: the store itself, instead of a running serve."`
	PasswordFile   string          `name:"redis.password-file" flagonly:"" placeholder:"FILE" help:"File of its password."`
	SentinelMaster string          `name:"redis.sentinel-master" flagonly:"" placeholder:"NAME" help:"The servers of the URL are Sentinels, which know the Redis by this name."`
	RedisCA        string          `name:"redis.tls-ca" flagonly:"" placeholder:"FILE" help:"PEM file of the authorities of its certificate."`
	Prefix         string          `name:"prefix" flagonly:"" default:"corral:" help:"What its keys begin with; else ${default}."`
	Sequence       string          `name:"sequence" flagonly:"" placeholder:"NAME" help:"Whose revisions the values of a Redis have, which the store of a running serve names: the identity of its cluster. Not set: those of a process that is alone."`

	adminClient `embed:""`
}

// A looker is a store that can be looked into, near or far.
type looker interface {
	stat(ctx context.Context) (server.StoreStatus, error)
	counting() bool // of a process that serves
	list(ctx context.Context, prefix string, limit int64, yield func(server.StoreLine) error) error
	get(ctx context.Context, key string) (*server.StoreValue, io.ReadCloser, error) // nil: nothing is there
	remove(ctx context.Context, keys []string) (done string, err error)
	verify(ctx context.Context, yield func(server.StoreLine) error) error
	close() error
}

// open finds the store that is meant.
func (s *storeSource) open(session *session) (looker, error) {
	log := slog.New(slog.NewTextHandler(session.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	switch {
	case s.Dir != "" && s.RedisURL != "":
		return nil, errors.New("corral: --dir and --redis.url are both set: there is one store to look into; leave one out")
	case s.Dir != "":
		return openDirectory(s.Dir, log)
	case s.RedisURL != "":
		return s.openRedis(log)
	}
	return remoteStore{&s.adminClient}, nil
}

// unlimited is more than any directory holds: to look must not make room.
const unlimited = 1 << 50

// openDirectory opens a directory that is there, for one that is not would be
// made.
func openDirectory(dir string, log *slog.Logger) (looker, error) {
	if _, err := os.Stat(filepath.Join(dir, "FORMAT")); err != nil {
		return nil, fmt.Errorf("corral: --dir is %q: there is no store in it: name the directory of store.dir (%w)", dir, err)
	}
	store, err := disk.Open(disk.Options{Dir: dir, MaxBytes: unlimited, Logger: log})
	if errors.Is(err, disk.ErrInUse) {
		return nil, fmt.Errorf("corral: --dir is %q: a process has it open: ask that one, with --admin and the address of its admin listener: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("corral: --dir is %q: %w", dir, err)
	}
	return localStore{store}, nil
}

func (s *storeSource) openRedis(log *slog.Logger) (looker, error) {
	settings := server.Redis{
		URL: s.RedisURL, PasswordFile: s.PasswordFile, SentinelMaster: s.SentinelMaster, CA: s.RedisCA,
		Prefix: s.Prefix, MaxValueBytes: redis.DefaultMaxValueBytes,
	}
	at, err := settings.Config("--redis")
	if err != nil {
		return nil, fmt.Errorf("corral: %w", err)
	}
	store, err := redis.Open(redis.Options{Redis: at, Prefix: s.Prefix, SoftTimeout: redis.DefaultHardTimeout, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("corral: --redis.url is %q: %w", s.RedisURL, err)
	}
	return localStore{store}, store.Bind(s.Sequence)
}

// A localStore is one that this process has opened.
type localStore struct{ server.Store }

// counting: its counts are of this look alone, and say nothing.
func (localStore) counting() bool { return false }

func (l localStore) close() error { return l.Close() }

func (l localStore) stat(ctx context.Context) (server.StoreStatus, error) {
	stat, err := l.Stat(ctx)
	if err == nil {
		_, err = l.Revision(ctx) // which asks a Redis, as its Stat need not
	}
	if stat.MaxBytes == unlimited {
		stat.MaxBytes = 0
	}
	if err == nil && stat.Broken != "" {
		err = errors.New(stat.Broken)
	}
	if err != nil {
		return server.StoreStatus{}, fmt.Errorf("corral: the store does not answer: %w", err)
	}
	return server.NewStoreStatus(stat), nil
}

func (l localStore) list(ctx context.Context, prefix string, limit int64, yield func(server.StoreLine) error) error {
	return server.ListStore(ctx, l.Store, prefix, limit, yield)
}

func (l localStore) get(ctx context.Context, key string) (*server.StoreValue, io.ReadCloser, error) {
	if server.IsAddress(key) {
		var err error
		if key, err = httpcache.KeyOf(key); err != nil {
			return nil, nil, err
		}
	}
	return server.ReadStore(ctx, l.Store, key)
}

func (l localStore) remove(ctx context.Context, keys []string) (string, error) {
	for i, key := range keys {
		if server.IsAddress(key) {
			var err error
			if keys[i], err = httpcache.KeyOf(key); err != nil {
				return "", err
			}
		}
	}
	n, err := l.Remove(ctx, keys...)
	return fmt.Sprintf("removed %d of %d", n, len(keys)), err
}

func (l localStore) verify(ctx context.Context, yield func(server.StoreLine) error) error {
	if stat, err := l.Stat(ctx); err == nil && stat.Corrupt > 0 { // before anything was read
		return errors.New("corral: what was there could not be read, and the store has begun empty")
	}
	return server.VerifyStore(ctx, l.Store, yield)
}

// look opens the store, and closes it.
func (s *storeSource) look(session *session, at func(store looker) error) error {
	store, err := s.open(session)
	if err != nil {
		return err
	}
	return errors.Join(at(store), store.close())
}

// printJSON writes a value on a line.
func printJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
