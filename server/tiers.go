package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster"
	"github.com/corralcache/corral/coordinator/redislock"
	"github.com/corralcache/corral/store/disk"
	"github.com/corralcache/corral/store/redis"
)

// A Store is where answers survive the process: a *disk.Store or a *redis.Store.
type Store interface {
	corral.Store
	corral.Revisioned
	corral.Bound
	corral.Browser
	io.Closer
}

// A Lock is how a Redis decides who fetches: a *redislock.Coordinator.
type Lock interface{ Stats() redislock.Stats }

var (
	_ Store = (*disk.Store)(nil)
	_ Store = (*redis.Store)(nil)
	_ Lock  = (*redislock.Coordinator)(nil)
)

// Tiers are what is behind the memory of a Site. At most one of Node and Lock is
// there, and no Store beside a Lock, whose Redis has the answers.
type Tiers struct {
	Store Store                  // nil: nothing is kept across restarts, or a Lock keeps it
	Node  *cluster.Node          // nil: in no cluster
	Lock  *redislock.Coordinator // nil: no Redis decides
}

// OpenTiers opens what a valid Config names: the store, which must be there if
// it is a directory, and need not be if it is a Redis; then the coordinator. It
// returns when this process may answer and keys have owners: with the very first
// nodes of a cluster, when enough of them have been started.
func OpenTiers(ctx context.Context, config Config, log *slog.Logger) (Tiers, error) {
	store, err := config.openStore(log)
	if err != nil {
		return Tiers{}, err
	}
	tiers := Tiers{Store: store}
	if tiers.Node, err = JoinCluster(ctx, config, log); err == nil {
		tiers.Lock, err = config.openLock(ctx, log)
	}
	if err != nil {
		return Tiers{}, errors.Join(err, tiers.Close())
	}
	return tiers, nil
}

// Close ends the tiers, whose cache must have been closed: the store first,
// which writes what it has not written yet.
func (t *Tiers) Close() error {
	var errs []error
	if t.Store != nil {
		if err := t.Store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("server: close the store: %w", err))
		}
	}
	if t.Node != nil {
		errs = append(errs, t.Node.Close())
	}
	if t.Lock != nil {
		errs = append(errs, t.Lock.Close())
	}
	return errors.Join(errs...)
}

// coordinator is what a cache has as one; nil for none.
func (t *Tiers) coordinator(cache string) corral.Coordinator {
	switch {
	case t.Node != nil:
		return t.Node.Cache(cache)
	case t.Lock != nil:
		return t.Lock
	}
	return nil
}

// store is what a cache has as one; nil for none.
func (t *Tiers) store() corral.Store {
	if t.Store == nil {
		return nil
	}
	return t.Store
}

// openStore opens the store, if there is to be one.
func (c *Config) openStore(log *slog.Logger) (Store, error) {
	switch {
	case c.StoreDir != "":
		store, err := disk.Open(disk.Options{Dir: c.StoreDir, MaxBytes: int64(c.StoreMaxBytes), Memory: int64(c.storeMemory()), Logger: log})
		if err != nil {
			return nil, c.problem("store.dir", c.StoreDir, strings.TrimPrefix(err.Error(), "disk: "))
		}
		return store, nil
	case c.StoreRedis.URL != "":
		options, err := c.redisOptions(log)
		if err != nil {
			return nil, err
		}
		store, err := redis.Open(options)
		if err != nil {
			return nil, c.problem("store.redis.url", string(c.StoreRedis.URL), strings.TrimPrefix(err.Error(), "redis: "))
		}
		return store, nil
	}
	return nil, nil
}

func (c *Config) redisOptions(log *slog.Logger) (redis.Options, error) {
	at, err := c.redisAt("store.redis", &c.StoreRedis)
	o := redis.Options{
		Redis: at, Prefix: c.StoreRedis.Prefix, MaxValueBytes: int64(c.StoreRedis.MaxValueBytes),
		SoftTimeout: c.StoreTimeout, WaitReplicas: c.StoreReplicas, Logger: log,
	}
	if c.StoreTimeout > redis.DefaultHardTimeout {
		o.HardTimeout = c.StoreTimeout
	}
	return o, err
}

// redisAt reads the files of a Redis once more: they may have changed since
// Validate.
func (c *Config) redisAt(name string, r *Redis) (redis.Config, error) {
	at, wrong := r.config()
	var problems []*Problem
	for _, p := range wrong {
		problems = append(problems, c.problem(name+"."+p.field, p.value, p.remedy))
	}
	return at, join(problems)
}

// openLock opens the coordinator in Redis, if there is to be one.
func (c *Config) openLock(ctx context.Context, log *slog.Logger) (*redislock.Coordinator, error) {
	if c.Coordinator != ByRedis {
		return nil, nil
	}
	at, err := c.redisAt("redis", &c.Redis)
	if err != nil {
		return nil, err
	}
	outage := redislock.Compute
	if c.RedisOutage == OutageRefuse {
		outage = redislock.Refuse
	}
	lock, err := redislock.Open(ctx, redislock.Config{
		Redis: at, Prefix: c.Redis.Prefix, MaxValueBytes: int(c.Redis.MaxValueBytes), Lease: c.RedisLease, Outage: outage, Log: log,
	})
	if err != nil {
		return nil, c.problem("redis.url", string(c.Redis.URL), strings.TrimPrefix(err.Error(), "redislock: "))
	}
	return lock, nil
}

// statWithin is how long a store may take to say what it is, for the log.
const statWithin = time.Second

// tell says in the log what is behind the memory.
func (t *Tiers) tell(ctx context.Context, config *Config, log *slog.Logger) {
	if t.Lock != nil {
		log.Info("a Redis decides who fetches, and keeps what was fetched", "url", config.Redis.URL.String(), "prefix", config.Redis.Prefix, "there", t.Lock.Stats().Up)
	}
	if t.Store == nil {
		if t.Lock == nil {
			log.Info("there is no store: nothing is kept across restarts", "remedy", "set store.dir or store.redis.url")
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, statWithin)
	defer cancel()
	stat, err := t.Store.Stat(ctx)
	if err == nil {
		_, err = t.Store.Revision(ctx) // which asks a Redis, as its Stat need not
	}
	fields := []any{"kind", stat.Kind, "entries", known(stat.Entries), "bytes", inUnits(stat.Bytes)}
	if config.StoreDir != "" {
		fields = append(fields, "dir", config.StoreDir, "max-bytes", config.StoreMaxBytes.String())
	} else {
		fields = append(fields, "url", config.StoreRedis.URL.String(), "prefix", config.StoreRedis.Prefix)
	}
	if stat.Broken != "" && err == nil {
		err = errors.New(stat.Broken)
	}
	if err != nil {
		log.Warn("the store does not answer: serving goes on without it until it does", append(fields, "error", err)...)
		return
	}
	log.Info("answers survive in a store", fields...)
}

// known is a count as text.
func known(n int64) string {
	if n < 0 {
		return "not known"
	}
	return fmt.Sprint(n)
}

// inUnits is a number of bytes as text, with a unit.
func inUnits(n int64) string {
	if n < 0 {
		return "not known"
	}
	for _, u := range byteUnits[:4] {
		if n >= u.size {
			return fmt.Sprintf("%.1f%s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
