package redislock

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/corralcache/corral/internal/redisconn"
)

// Redis says which server, and how to reach it.
type Redis = redisconn.Config

// An Outage says what a process does while Redis is away.
type Outage uint8

const (
	// Compute lets each process compute what its callers ask for, one flight a
	// key, and keep nothing of it.
	Compute Outage = iota
	// Refuse answers corral.ErrUnavailable.
	Refuse
)

// Defaults of a Config.
const (
	DefaultPrefix        = "corral:"
	DefaultLease         = 5 * time.Second
	DefaultTimeout       = time.Second
	DefaultMaxValueBytes = 8 << 20
	DefaultInlineBytes   = 64 << 10
)

// Bounds of Config.Lease: holders extend every second.
const (
	minLease = 3 * time.Second
	maxLease = time.Minute
)

// Config says which Redis decides, and how. The zero value of a field is its
// default, unless it says that it must be set.
type Config struct {
	// Redis is the server. It must be set.
	Redis Redis
	// Prefix begins every key and channel. Caches that share a Redis need
	// different ones; processes of one cache the same. Default: "corral:".
	Prefix string
	// Lease is how long a holder that has fallen silent keeps the others
	// waiting, at least 3 s. Default: 5 s.
	Lease time.Duration
	// Timeout is how long one step may take before Redis counts as away, at
	// most Lease/2. Default: 1 s.
	Timeout time.Duration
	// Outage is what happens while Redis is away. Default: Compute.
	Outage Outage
	// MaxValueBytes bounds a value with its body. A larger one is not shared:
	// every process computes it for itself. Default: 8 MiB.
	MaxValueBytes int
	// InlineBytes is up to which size a value is sent to those who wait for it;
	// they ask for a larger one. Default: 64 KiB.
	InlineBytes int
	// Log is told what an operator may want to know. Default: slog.Default().
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxValueBytes == 0 {
		c.MaxValueBytes = DefaultMaxValueBytes
	}
	if c.InlineBytes == 0 {
		c.InlineBytes = DefaultInlineBytes
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, c.validate()
}

// validate names every field that is wrong.
func (c Config) validate() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf("redislock: "+format, args...)) }
	if err := c.Redis.Validate(); err != nil {
		wrong("Config.Redis: %w", err)
	}
	if strings.ContainsAny(c.Prefix, "{}\n") {
		wrong("Config.Prefix is %q: leave out braces, by which a Redis Cluster places keys, and line ends", c.Prefix)
	}
	if c.Lease < minLease || c.Lease > maxLease {
		wrong("Config.Lease is %v: set it between %v and %v; holders extend it every second", c.Lease, minLease, maxLease)
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > c.Lease/2 {
		wrong("Config.Timeout is %v: set it between 10ms and half of Config.Lease, %v", c.Timeout, c.Lease/2)
	}
	if c.Outage > Refuse {
		wrong("Config.Outage is %d: set Compute or Refuse", c.Outage)
	}
	if c.MaxValueBytes < 1 || c.MaxValueBytes > 512<<20 {
		wrong("Config.MaxValueBytes is %d: set it between 1 and %d, the largest that Redis holds", c.MaxValueBytes, 512<<20)
	}
	if c.InlineBytes < 0 {
		wrong("Config.InlineBytes is %d: set it above 0, or leave it 0 for the default", c.InlineBytes)
	}
	return errors.Join(all...)
}
