package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

const (
	DefaultPrefix  = "/corral/"
	DefaultTimeout = time.Second
)

// Config says where etcd is.
type Config struct {
	// Endpoints are the members' addresses, host:port, the preferred one first:
	// the member in this process, if there is one.
	Endpoints []string

	// Prefix is put before every key and ends in a slash. Two clusters on one
	// etcd need two. Default: DefaultPrefix.
	Prefix string

	// Identity is for the connections; nil: plain text.
	Identity *identity.Identity

	// Timeout bounds every call, and a call's context may bound it further. What
	// was handed to a leader as it died is never answered: who has less time than
	// this gives such a call less, or does not wait for it before the next.
	// Default: DefaultTimeout.
	Timeout time.Duration

	// Seen is the newest revision that this node knows of from before, 0 if none:
	// an etcd that is behind it was rolled back while the node was away.
	Seen uint64

	// Log is told what needs somebody's attention. Default: slog.Default().
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Endpoints) == 0 {
		return c, fmt.Errorf("etcd: Config.Endpoints is empty: name the members of etcd as host:port")
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if !strings.HasSuffix(c.Prefix, "/") {
		return c, fmt.Errorf("etcd: Config.Prefix %q does not end in a slash: add one, so that no other prefix begins with it", c.Prefix)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("etcd: Config.Timeout %v is negative: leave it out for %v", c.Timeout, DefaultTimeout)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, nil
}

// A Client reads, writes and watches the keys below one prefix. It may be used
// by many at once.
type Client struct {
	config    Config
	endpoints endpoints
	history   history

	closed context.Context
	close  context.CancelFunc
	writes atomic.Uint64
}

// A KV is a key's value and the revision that wrote it: 0 if there is none.
type KV struct {
	Value    []byte
	Revision uint64
}

// Dial returns once a member has answered, or ctx has ended.
func Dial(ctx context.Context, config Config) (*Client, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, history: history{newest: config.Seen}}
	c.closed, c.close = context.WithCancel(context.Background())
	for _, address := range config.Endpoints {
		e, err := dialEndpoint(address, config)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("etcd: %w", err)
		}
		c.endpoints.all = append(c.endpoints.all, e)
	}
	if err := c.anyAnswers(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return c, nil
}

// anyAnswers waits for the first member that answers.
func (c *Client) anyAnswers(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(c.endpoints.all))
	for _, e := range c.endpoints.all {
		go func() { answers <- e.suitable(ctx) }()
	}
	var all error
	for range c.endpoints.all {
		err := <-answers
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return fmt.Errorf("no member answered: is etcd running, and are the endpoints %q right? %w", c.config.Endpoints, all)
}

// Close ends what is under way.
func (c *Client) Close() {
	c.close()
	c.endpoints.close()
}

// Writes counts the transactions that were sent.
func (c *Client) Writes() uint64 { return c.writes.Load() }

// A Snapshot is all keys, without their prefix, as of one revision. A Watch
// from the next one continues it.
type Snapshot struct {
	Revision uint64
	Keys     map[string]KV
}

// Read reads all keys at once, linearizably.
func (c *Client) Read(ctx context.Context) (Snapshot, error) {
	var answer *clientv3.GetResponse
	err := c.call(ctx, func(ctx context.Context, e *endpoint) (err error) {
		since, err := c.history.seen()
		if err != nil {
			return err
		}
		answer, err = e.client.Get(ctx, c.config.Prefix, clientv3.WithPrefix())
		if err != nil {
			return explain(err)
		}
		return c.history.answered(since, answer.Header)
	})
	if err != nil {
		return Snapshot{}, fmt.Errorf("etcd: read %q: %w", c.config.Prefix, err)
	}
	s := Snapshot{Revision: uint64(answer.Header.Revision), Keys: make(map[string]KV, len(answer.Kvs))}
	for _, kv := range answer.Kvs {
		s.Keys[c.relative(kv.Key)] = KV{Value: kv.Value, Revision: uint64(kv.ModRevision)}
	}
	return s, nil
}

// call has one member do something, within the timeout. If that one does not
// answer, the next call goes to another.
func (c *Client) call(ctx context.Context, do func(context.Context, *endpoint) error) error {
	if c.closed.Err() != nil {
		return fmt.Errorf("%w: %w", ErrRefused, ErrClosed)
	}
	e := c.endpoints.pick()
	within, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), c.config.Timeout)
	defer cancel()
	err := do(within, e)
	if errors.Is(err, ErrUnknown) && !errors.Is(err, ErrFull) && !ofTheCaller(ctx) {
		c.endpoints.leave(e)
		return fmt.Errorf("%q: %w", e.address, err)
	}
	return err
}

func (c *Client) relative(key []byte) string { return strings.TrimPrefix(string(key), c.config.Prefix) }
