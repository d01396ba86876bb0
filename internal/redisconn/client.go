package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Pauses between attempts to connect for the first time.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// oldest is the oldest release of Redis that has what is needed: RESP3 with
// tracked reads. Valkey says that it is a Redis of 7.2.
const oldest = 6

var errClosed = fmt.Errorf("redis: the client is closed: %w", rueidis.ErrClosing)

// A Client is a rueidis.Client that connects when it is first asked. A call
// before that waits for the connection, up to its context.
//
// Which builder of commands is right, a Cluster's or one server's, is known
// only then: a command from B before the first connection to a Cluster fails
// with ErrNotConnected. Ready waits for it.
//
// Invariants:
//
//	C1. connected, once set, stays. What follows is rueidis' to reconnect.
//	C2. At most one attempt is under way. Guarded by mu.
//	C3. After Close no attempt begins, and Close has waited for the last.
type Client struct {
	option    rueidis.ClientOption
	builder   rueidis.Builder
	connected atomic.Pointer[rueidis.Client]

	mu      sync.Mutex
	attempt chan struct{} // of the attempt that is under way, closed at its end; else nil
	err     error         // of the last attempt
	pause   time.Duration // after the last attempt
	until   time.Time     // when the next may begin
	closed  bool
}

var _ rueidis.Client = (*Client)(nil)

// Open makes a client, without asking the server. tune may change what the
// Config became; nil changes nothing.
func Open(c Config, tune func(*rueidis.ClientOption)) (*Client, error) {
	option, err := c.options()
	if err != nil {
		return nil, err
	}
	if tune != nil {
		tune(&option)
	}
	return &Client{option: option, builder: nobodysBuilder()}, nil
}

// nobodysBuilder is one that builds commands as they are for one server. Only a
// client has one, if only a client of nobody.
func nobodysBuilder() rueidis.Builder {
	nobody := func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) { return nil, ErrNotConnected }
	client, _ := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{"nobody:0"}, ForceSingleClient: true, DialCtxFn: nobody,
	})
	defer client.Close()
	return client.B()
}

// Ready waits until the server has been reached once, up to ctx. An error is
// explained. During the pause after a failure it is that failure, at once.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.client(ctx)
	return err
}

func (c *Client) client(ctx context.Context) (rueidis.Client, error) {
	if to := c.connected.Load(); to != nil {
		return *to, nil
	}
	attempt, err := c.begin()
	if err != nil {
		return nil, err
	}
	select {
	case <-attempt:
	case <-ctx.Done():
		return nil, Explain(context.Cause(ctx))
	}
	if to := c.connected.Load(); to != nil {
		return *to, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	return nil, c.err
}

// begin returns the attempt that is under way, or begins one.
func (c *Client) begin() (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.attempt != nil:
		return c.attempt, nil
	case time.Now().Before(c.until):
		return nil, c.err
	}
	c.attempt = make(chan struct{})
	go c.connect(c.attempt)
	return c.attempt, nil
}

// connect is one attempt. Config.DialTimeout ends it.
func (c *Client) connect(attempt chan struct{}) {
	client, err := dial(c.option)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(attempt)
	c.attempt = nil
	if err != nil {
		c.err = Explain(err)
		c.pause = min(max(2*c.pause, firstPause), lastPause)
		c.until = time.Now().Add(c.pause/2 + rand.N(c.pause/2+1))
		return
	}
	if c.closed {
		client.Close()
		return
	}
	c.connected.Store(&client)
}

func dial(option rueidis.ClientOption) (rueidis.Client, error) {
	client, err := rueidis.NewClient(option)
	if err != nil {
		if client != nil {
			client.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), option.Dialer.Timeout)
	defer cancel()
	info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if err == nil {
		err = young(info)
	}
	if errors.Is(Explain(err), ErrForbidden) { // INFO is not for everybody
		err = nil
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// young refuses a server that is too old, by what it says in INFO.
func young(info string) error {
	_, version, found := strings.Cut(info, "redis_version:")
	if !found {
		return nil
	}
	version, _, _ = strings.Cut(version, "\r\n")
	first, _, _ := strings.Cut(version, ".")
	if major, err := strconv.Atoi(first); err == nil && major < oldest {
		return explained{ErrTooOld, "6.0 is the oldest that will do", fmt.Errorf("it is %q", version)}
	}
	return nil
}

// Close ends the connections. Calls under way fail.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	attempt := c.attempt
	c.mu.Unlock()
	if attempt != nil {
		<-attempt
	}
	if to := c.connected.Load(); to != nil {
		(*to).Close()
	}
}
