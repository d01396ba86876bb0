package redisconn

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// noSlot marks the slot of a command that was built for one server.
const noSlot = 1 << 15

// to is the client for a command of the given slot, once it is connected.
func (c *Client) to(ctx context.Context, slot uint16) (rueidis.Client, error) {
	client, err := c.client(ctx)
	if err == nil && slot&noSlot != 0 && client.Mode() == rueidis.ClientModeCluster {
		err = ErrNotConnected
	}
	return client, err
}

// B builds commands. See Client on when.
func (c *Client) B() rueidis.Builder {
	if to := c.connected.Load(); to != nil {
		return (*to).B()
	}
	return c.builder
}

func (c *Client) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	to, err := c.to(ctx, cmd.Slot())
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	return to.Do(ctx, cmd)
}

func (c *Client) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	slots := uint16(0)
	for _, cmd := range multi {
		slots |= cmd.Slot()
	}
	to, err := c.to(ctx, slots)
	if err != nil {
		return failed(len(multi), err)
	}
	return to.DoMulti(ctx, multi...)
}

func (c *Client) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	to, err := c.to(ctx, cmd.Slot())
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	return to.DoCache(ctx, cmd, ttl)
}

func (c *Client) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	slots := uint16(0)
	for _, one := range multi {
		slots |= one.Cmd.Slot()
	}
	to, err := c.to(ctx, slots)
	if err != nil {
		return failed(len(multi), err)
	}
	return to.DoMultiCache(ctx, multi...)
}

func failed(n int, err error) []rueidis.RedisResult {
	results := make([]rueidis.RedisResult, n)
	for i := range results {
		results[i] = rueidis.NewErrorResult(err)
	}
	return results
}

func (c *Client) DoStream(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResultStream {
	to, err := c.to(ctx, cmd.Slot())
	if err != nil {
		return rueidis.NewErrorResultStream(err)
	}
	return to.DoStream(ctx, cmd)
}

func (c *Client) DoMultiStream(ctx context.Context, multi ...rueidis.Completed) rueidis.MultiRedisResultStream {
	slots := uint16(0)
	for _, cmd := range multi {
		slots |= cmd.Slot()
	}
	to, err := c.to(ctx, slots)
	if err != nil {
		return rueidis.NewErrorResultStream(err)
	}
	return to.DoMultiStream(ctx, multi...)
}

func (c *Client) Receive(ctx context.Context, subscribe rueidis.Completed, fn func(rueidis.PubSubMessage)) error {
	to, err := c.to(ctx, subscribe.Slot())
	if err != nil {
		return err
	}
	return to.Receive(ctx, subscribe, fn)
}

// Dedicated needs a connected client, as Dedicate does: call Ready first.
func (c *Client) Dedicated(fn func(rueidis.DedicatedClient) error) error {
	if to := c.connected.Load(); to != nil {
		return (*to).Dedicated(fn)
	}
	return ErrNotConnected
}

func (c *Client) Dedicate() (rueidis.DedicatedClient, func()) {
	if to := c.connected.Load(); to != nil {
		return (*to).Dedicate()
	}
	return unconnected{c.builder}, func() {}
}

// Nodes is empty before the first connection.
func (c *Client) Nodes() map[string]rueidis.Client {
	if to := c.connected.Load(); to != nil {
		return (*to).Nodes()
	}
	return nil
}

// Mode is what the server is, once it has been reached.
func (c *Client) Mode() rueidis.ClientMode {
	if to := c.connected.Load(); to != nil {
		return (*to).Mode()
	}
	return ""
}

// unconnected is the dedicated client of a client without a connection.
type unconnected struct{ builder rueidis.Builder }

func (u unconnected) B() rueidis.Builder { return u.builder }

func (unconnected) Close() {}

func (unconnected) Do(context.Context, rueidis.Completed) rueidis.RedisResult {
	return rueidis.NewErrorResult(ErrNotConnected)
}

func (unconnected) DoMulti(_ context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	return failed(len(multi), ErrNotConnected)
}

func (unconnected) Receive(context.Context, rueidis.Completed, func(rueidis.PubSubMessage)) error {
	return ErrNotConnected
}

func (unconnected) SetPubSubHooks(rueidis.PubSubHooks) <-chan error { return over() }

func (unconnected) SetOnInvalidations(func([]rueidis.RedisMessage)) <-chan error { return over() }

func over() <-chan error {
	end := make(chan error, 1)
	end <- ErrNotConnected
	close(end)
	return end
}
