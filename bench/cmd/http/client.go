package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// A client is one connection that is kept alive. It is a bare socket: one
// thread reads for all clients of a burst, so that what is measured is not
// this program's scheduler.
type client struct {
	fd atomic.Int64 // -1 when it is closed
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
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	warm := order{path: "/warm", size: 1}
	clients := make([]*client, 0, n)
	for range n {
		c, err := dial(to)
		if err == nil {
			clients = append(clients, c)
			a := burst{order: warm, giveUp: patient}.alone(c)
			if err = a.must(warm); err == nil && a.closes {
				err = errors.New("the connection is not kept alive")
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			hangUp(clients)
			return nil, fmt.Errorf("warm connection %d of %d to %s: %w", len(clients), n, addr, err)
		}
	}
	return clients, nil
}

func dial(to netip.AddrPort) (*client, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &client{}
	c.fd.Store(int64(fd))
	err = errors.Join(
		syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
	)
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) send(request []byte) error {
	n, err := syscall.Write(int(c.fd.Load()), request)
	if err == nil && n < len(request) {
		err = fmt.Errorf("send a request: %d bytes of %d fit the socket", n, len(request))
	}
	return err
}

func (c *client) close() {
	if fd := c.fd.Swap(-1); fd >= 0 {
		syscall.Close(int(fd))
	}
}

func hangUp(clients []*client) {
	for _, c := range clients {
		c.close()
	}
}

// repeat sends orders from each of some clients, one after another, until next
// has none left, and returns how many were answered. The first that is not
// answered as it should be ends it.
func repeat(clients []*client, next func() (order, bool)) (int, error) {
	var mu sync.Mutex
	answered, errs := 0, []error(nil)
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for {
				mu.Lock()
				o, more := next()
				more = more && len(errs) == 0
				mu.Unlock()
				if !more {
					return
				}
				err := burst{order: o, giveUp: patient}.alone(c).must(o)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					answered++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return answered, errors.Join(errs...)
}
