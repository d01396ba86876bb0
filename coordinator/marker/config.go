package marker

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of a Config.
const (
	DefaultPrefix        = "corral:"
	DefaultPoll          = 50 * time.Millisecond
	DefaultLease         = 5 * time.Second
	DefaultMaxValueBytes = 8 << 20
)

// heartbeat is how often a cache extends its leases.
const heartbeat = time.Second

// maxTTL is how long the KV keeps a value at most, also one without an end.
const maxTTL = 30 * 24 * time.Hour

// Config says which KV has the values and markers, and how it is asked.
type Config struct {
	KV KV
	// Prefix comes before every key. Default "corral:".
	Prefix string
	// Poll is how often a waiter looks whether there is a value now. It is what
	// is added to its waiting, half of it on average. Default 50 ms.
	Poll time.Duration
	// Lease is how long a marker stays that is not extended: for how long nobody
	// computes after a holder has died. Caches extend theirs every second. Above
	// 1 s; default 5 s.
	Lease time.Duration
	// MaxValueBytes bounds what is put, header and body. What is larger is shared
	// with nobody: each process computes for itself. Default 8 MiB.
	MaxValueBytes int
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.MaxValueBytes == 0 {
		c.MaxValueBytes = DefaultMaxValueBytes
	}
	return c
}

// Validate names every field that is wrong, its value and the remedy.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf("marker: Config."+format, args...))
		}
	}
	wrong(c.KV == nil, "KV is nil: set one, for example of OpenRedis")
	wrong(c.Poll < 0, "Poll is %v: set a duration above 0, or leave it 0 for %v", c.Poll, DefaultPoll)
	wrong(c.Lease <= heartbeat, "Lease is %v: set more than %v, for that is how often it is extended", c.Lease, heartbeat)
	wrong(c.Poll > c.Lease, "Poll is %v: set it below Lease, which is %v", c.Poll, c.Lease)
	wrong(c.MaxValueBytes < 0, "MaxValueBytes is %d: set a number of bytes above 0, or leave it 0 for %d", c.MaxValueBytes, DefaultMaxValueBytes)
	return errors.Join(errs...)
}
