package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A client is one connection that is kept alive.
type client struct {
	net.Conn
	r *bufio.Reader
}

// host is the Host of every request: no contender knows another.
const host = "bench.example"

func requestFor(uri string) []byte {
	return []byte("GET " + uri + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: */*\r\n\r\n")
}

// connect opens n connections to an address and has one request answered on
// each, so that a burst finds threads, pools and buffers as in the middle of a
// day. Call hangUp for the clients.
func connect(ctx context.Context, addr string, n int) ([]*client, error) {
	clients := make([]*client, 0, n)
	warm := order{path: "/warm", size: 1}
	for range n {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			hangUp(clients)
			return nil, fmt.Errorf("open connection %d of %d: %w", len(clients)+1, n, err)
		}
		c := &client{conn, bufio.NewReaderSize(conn, 8<<10)}
		clients = append(clients, c)
		a := burst{order: warm, giveUp: patient}.alone(c)
		if a.verdict() == good && a.closes {
			a.status, a.err = 0, errors.New("the connection is not kept alive")
		}
		if err := a.must(warm); err != nil {
			hangUp(clients)
			return nil, fmt.Errorf("warm connection %d of %d: %w", len(clients), n, err)
		}
	}
	return clients, nil
}

func hangUp(clients []*client) {
	for _, c := range clients {
		c.Close()
	}
}

// ask sends a request that was due at a moment and reads the answer until a
// limit.
func (c *client) ask(request, want []byte, due, limit time.Time) answer {
	if err := c.send(request); err != nil {
		return answer{err: err}
	}
	return c.hear(want, limit, func() time.Duration { return time.Since(due) })
}

func (c *client) send(request []byte) error {
	_, err := c.Write(request)
	return err
}

func (c *client) hear(want []byte, limit time.Time, since watch) answer {
	c.SetReadDeadline(limit)
	return readAnswer(c.r, want, since)
}

// A burst is many requests for one order, each on a connection of its own.
type burst struct {
	order  order
	over   time.Duration // from the first request to the last; 0: all at once
	giveUp time.Duration // after which clients do, from when each was due
}

// want is the body that everybody should get, if it is known.
func (b burst) want() []byte {
	if b.order.private {
		return nil
	}
	return b.order.body()
}

// alone is a burst of one, without delay.
func (b burst) alone(c *client) answer {
	request, want := requestFor(b.order.uri()), b.want()
	now := time.Now()
	return c.ask(request, want, now, now.Add(b.giveUp))
}

// fire sends the burst and returns the answers, in the order of the clients.
// One goroutine sends for all, while each has its own to read: nobody waits to
// be scheduled before sending. A request is due when its turn in the burst
// comes, and that is where its time begins, whether or not it could be sent by
// then.
func (b burst) fire(clients []*client) []answer {
	request, want := requestFor(b.order.uri()), b.want()
	answers := make([]answer, len(clients))
	begin := time.Now().Add(20 * time.Millisecond) // until all readers wait
	due := func(i int) time.Time { return begin.Add(b.over * time.Duration(i) / time.Duration(len(clients))) }
	var readers sync.WaitGroup
	for i, c := range clients {
		readers.Go(func() {
			at := due(i)
			answers[i] = c.hear(want, at.Add(b.giveUp), func() time.Duration { return time.Since(at) })
		})
	}
	for i, c := range clients {
		if wait := time.Until(due(i)); wait > 0 {
			time.Sleep(wait)
		}
		if err := c.send(request); err != nil {
			c.Close() // which its reader sees
		}
	}
	readers.Wait()
	return answers
}

// repeat sends orders from each of some clients, one after another, until next
// has none left, and returns how many were answered. The first that is not
// answered as it should be ends it.
func repeat(clients []*client, next func() (order, bool)) (int, error) {
	var mu sync.Mutex
	answered, errs := 0, []error(nil)
	take := func(done bool, err error) (o order, more bool) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			answered++
		}
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) > 0 {
			return o, false
		}
		return next()
	}
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			o, more := take(false, nil)
			for more {
				a := burst{order: o, giveUp: patient}.alone(c)
				err := a.must(o)
				o, more = take(err == nil, err)
			}
		})
	}
	all.Wait()
	return answered, errors.Join(errs...)
}
