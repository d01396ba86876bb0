package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/corralcache/corral/coordinator/cluster"
	"github.com/corralcache/corral/httpcache"
	"github.com/corralcache/corral/store/redis"
)

// A Site is the Handler that a Config describes: a caching proxy with the
// servers behind it, and with what is behind its memory. It collects the counts
// of its pools for Prometheus.
//
// Invariants:
//
//	H1. What a request may still use stays open: a backend that is in force, or
//	    was within the load-timeout before. Guarded by mu.
//	H2. Reload changes all or nothing, and nothing after Shutdown.
//	H3. What was opened is closed: by Shutdown, at the end of its time in retired,
//	    or at once when nothing comes of a Reload.
//	H4. The cache is closed before the store, and the store before the coordinator:
//	    what is written last is in the store, and under a revision that counts.
type Site struct {
	*httpcache.Proxy
	log     *slog.Logger
	tiers   Tiers
	longest time.Duration // the longest load-timeout that the proxy was made for

	mu      sync.Mutex
	config  Config                   // in force
	origins backends                 // in force
	retired map[*backend]*time.Timer // not in force any more, and when they are closed
	closed  bool                     // by Shutdown
}

// NewHandler makes the Site of a valid Config, with the tiers that OpenTiers has
// made of it. Whoever calls it calls Shutdown or hands it to New. The tiers end
// with the Site; after an error they are still the caller's.
func NewHandler(config Config, log *slog.Logger, tiers Tiers) (*Site, error) {
	origins, problems := config.backends(nil, log, shareOf(tiers.Node))
	if len(problems) > 0 {
		return nil, join(problems)
	}
	options := config.options(origins, log)
	options.Coordinator, options.Store, options.StoreTimeout = tiers.coordinator(config.Name), tiers.store(), config.patience()
	proxy, err := httpcache.NewProxy(options)
	if err != nil {
		origins.closeOthersThan(nil)
		return nil, err
	}
	tiers.tell(context.Background(), &config, log)
	return &Site{
		Proxy: proxy, log: log, tiers: tiers, longest: config.longestLoad(),
		config: config, origins: origins, retired: map[*backend]*time.Timer{},
	}, nil
}

// shareOf is the part of a rate that is this process's; nil: all of it.
func shareOf(node *cluster.Node) func() float64 {
	if node == nil {
		return nil
	}
	return node.Share
}

// Reload puts another Config in force. Requests that run go on with what they
// began with. Pools whose settings are the same keep their connections and what
// they know of their servers' health.
func (s *Site) Reload(config Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("server: the site is shut down")
	}
	if problem := config.tooPatient(s.longest); problem != nil {
		return problem
	}
	origins, problems := config.backends(s.origins, s.log, shareOf(s.tiers.Node))
	if len(problems) > 0 {
		return join(problems)
	}
	if err := s.Proxy.Reload(config.options(origins, s.log)); err != nil {
		origins.closeOthersThan(s.origins)
		return err
	}
	s.retireLocked(origins)
	s.config, s.origins = config, origins
	return nil
}

// retireLocked closes what is in force and not in next, after the longest time
// that a request may take to use it.
func (s *Site) retireLocked(next backends) {
	for name, b := range s.origins {
		if next[name] == b {
			continue
		}
		s.retired[b] = time.AfterFunc(s.config.longestLoad(), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.retired[b] != nil { // Shutdown may have been faster
				delete(s.retired, b)
				b.close()
			}
		})
	}
}

// Shutdown gives what this process owns of a cluster to the other nodes, waits
// for what runs, until ctx ends, and closes everything. Then it leaves the
// cluster (H4).
func (s *Site) Shutdown(ctx context.Context) error {
	if s.tiers.Node != nil {
		s.tiers.Node.Leave(ctx) // while the cache is there to be handed over; where it fails Close tells the log
	}
	err := errors.Join(s.Proxy.Shutdown(ctx), s.tiers.Close())
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, timer := range s.retired {
		timer.Stop()
		b.close()
	}
	clear(s.retired)
	s.closed = true
	s.origins.closeOthersThan(nil)
	return err
}

// patience is how long a request waits for the store. One in Redis keeps to less
// by itself.
func (c *Config) patience() time.Duration {
	switch {
	case c.StoreDir != "":
		return c.StoreTimeout
	case c.StoreRedis.URL != "":
		return max(c.StoreTimeout, redis.DefaultHardTimeout)
	}
	return 0
}

// longestLoad is the longest load-timeout, those of rules included.
func (c *Config) longestLoad() time.Duration {
	longest := c.LoadTimeout
	for _, r := range c.Rules {
		longest = max(longest, r.LoadTimeout)
	}
	return longest
}

// tooPatient names the load-timeout that is longer than those that the cache
// was made for, if there is one.
func (c *Config) tooPatient(longest time.Duration) *Problem {
	remedy := fmt.Sprintf("while the cache runs it cannot become longer than %s, the longest at its start: set no more than that, or restart", longest)
	if c.LoadTimeout > longest {
		return c.problem("load-timeout", c.LoadTimeout.String(), remedy)
	}
	for i, r := range c.Rules {
		if r.LoadTimeout > longest {
			return c.problem(ruleName(i)+".load-timeout", r.LoadTimeout.String(), remedy)
		}
	}
	return nil
}

// options writes the Config as httpcache has it.
func (c *Config) options(origins backends, log *slog.Logger) httpcache.Options {
	o := httpcache.Options{
		Name:             c.Name,
		Origin:           c.Origin.URL,
		Transport:        origins[""],
		TargetedFields:   c.TargetedFields,
		IgnoreCookies:    c.IgnoreCookies == On,
		StoreCookies:     c.StoreCookies == On,
		TrustedProxies:   c.TrustedProxies,
		MaxBytes:         int64(c.cacheBytes()),
		MirrorBytes:      int64(min(c.MirrorBytes, c.cacheBytes())),
		MaxObjectBytes:   int64(min(c.MaxObjectBytes, c.cacheBytes())),
		MaxKeyBytes:      int(c.MaxKeyBytes),
		MaxVariants:      c.MaxVariants,
		KeysPerMinute:    c.KeysPerMinute,
		LoadTimeout:      c.LoadTimeout,
		TailTimeout:      c.TailTimeout,
		PassTTL:          orNone(c.PassTTL),
		MaxLoads:         c.MaxLoads,
		MaxWaiters:       c.MaxWaiters,
		MaxWaitersPerKey: c.MaxKeyWaiters,
		Logger:           log,
	}
	if pool := c.standard(); pool != nil {
		b := origins[pool.Name]
		o.Origin, o.Transport = b.base, b
	}
	for i := range c.Rules {
		rule := c.Rules[i].option()
		rule.MaxObjectBytes = min(rule.MaxObjectBytes, o.MaxBytes)
		switch from := c.Rules[i].Origin; {
		case from.pool != "":
			b := origins[from.pool]
			rule.Origin, rule.Transport = b.base, b
		case from.url != nil:
			rule.Transport = origins[""]
		}
		o.Rules = append(o.Rules, rule)
	}
	return o
}

// defaultPool is the name of the pool that is the default one where there are
// several.
const defaultPool = "default"

// standard is the pool that requests go to for which no rule names another; nil
// when that is the setting origin's.
func (c *Config) standard() *Pool {
	switch {
	case c.Origin.URL != nil:
		return nil
	case len(c.Origins) == 1:
		return &c.Origins[0]
	}
	return c.pool(defaultPool)
}

// join makes one error of problems, and nil of none.
func join(problems []*Problem) error {
	var errs []error
	for _, p := range problems {
		if p != nil {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}
