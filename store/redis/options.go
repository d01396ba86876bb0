package redis

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/corralcache/corral/internal/redisconn"
)

// Config says which Redis: one server, Sentinel or Cluster.
type Config = redisconn.Config

// Defaults of Options.
const (
	DefaultPrefix        = "corral:"
	DefaultMaxValueBytes = 4 << 20
	DefaultMaxTTL        = 30 * 24 * time.Hour
	DefaultSoftTimeout   = 50 * time.Millisecond
	DefaultHardTimeout   = time.Second
	DefaultMaxCalls      = 256
)

// Options of a Store. Only Redis must be set.
type Options struct {
	Redis Config

	// Prefix is what all keys of this store begin with. Stores of different
	// prefixes share a Redis without seeing each other. "" is "corral:". What
	// stands in it between { and } puts all of it on one node of a Cluster.
	Prefix string
	// MaxValueBytes is how long a value and its body may be together; what is
	// longer is refused with ErrTooLarge. The network must carry as much within
	// SoftTimeout. 0 is 4 MiB.
	MaxValueBytes int64
	// MaxTTL is the longest time for which Redis keeps anything: a TTL of
	// corral.Forever, and windows of it, end there. 0 is 30 days.
	MaxTTL time.Duration
	// SoftTimeout is how long Get keeps its caller: after it, there is nothing.
	// 0 is 50 ms.
	SoftTimeout time.Duration
	// HardTimeout is how long Put, Delete and what is behind a Get may take until
	// the call is given up. Not less than SoftTimeout. 0 is 1 s.
	HardTimeout time.Duration
	// MaxCalls is how many calls may be under way. What is over it fails with
	// ErrBusy, at once. 0 is 256.
	MaxCalls int
	// WaitReplicas is how many replicas must have a Delete before it succeeds
	// (WAIT). 0 is none: a failover may then bring back for good what was deleted
	// up to a second before, for caches that started after it.
	WaitReplicas int
	// Logger is told of the beginning and the end of each outage, once. Nil is
	// slog.Default().
	Logger *slog.Logger
}

// Validate names the field that is wrong, and what to do.
func (o Options) Validate() error {
	if err := o.Redis.Validate(); err != nil {
		return err
	}
	o = o.withDefaults()
	switch {
	case o.MaxValueBytes < 0:
		return fmt.Errorf("redis: Options.MaxValueBytes is %d: 0 is the default of %d", o.MaxValueBytes, DefaultMaxValueBytes)
	case o.MaxValueBytes > maxBulk:
		return fmt.Errorf("redis: Options.MaxValueBytes is %d: Redis takes %d", o.MaxValueBytes, int64(maxBulk))
	case o.MaxTTL < time.Second:
		return fmt.Errorf("redis: Options.MaxTTL is %v: set 1 s or more, 0 is the default of %v", o.MaxTTL, DefaultMaxTTL)
	case o.SoftTimeout < 0:
		return fmt.Errorf("redis: Options.SoftTimeout is %v: 0 is the default of %v", o.SoftTimeout, DefaultSoftTimeout)
	case o.HardTimeout < o.SoftTimeout:
		return fmt.Errorf("redis: Options.HardTimeout is %v, less than SoftTimeout with %v", o.HardTimeout, o.SoftTimeout)
	case o.HardTimeout >= tombstoneTTL:
		return fmt.Errorf("redis: Options.HardTimeout is %v: a write may not be under way for longer than a delete is remembered, %v", o.HardTimeout, tombstoneTTL)
	case o.MaxCalls < 0:
		return fmt.Errorf("redis: Options.MaxCalls is %d: 0 is the default of %d", o.MaxCalls, DefaultMaxCalls)
	case o.WaitReplicas < 0:
		return fmt.Errorf("redis: Options.WaitReplicas is %d: 0 waits for none", o.WaitReplicas)
	}
	return nil
}

// maxBulk is below Redis' proto-max-bulk-len of 512 MiB by more than a record's
// overhead.
const maxBulk = 256 << 20

func (o Options) withDefaults() Options {
	set(&o.Prefix, DefaultPrefix)
	set(&o.MaxValueBytes, DefaultMaxValueBytes)
	set(&o.MaxTTL, DefaultMaxTTL)
	set(&o.SoftTimeout, DefaultSoftTimeout)
	set(&o.HardTimeout, DefaultHardTimeout)
	set(&o.MaxCalls, DefaultMaxCalls)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func set[T comparable](field *T, otherwise T) {
	var zero T
	if *field == zero {
		*field = otherwise
	}
}
