package server

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// listen opens a listener or says why the setting cannot be used.
func listen(setting string, address Address) (*net.TCPListener, *Problem) {
	listener, err := net.Listen("tcp", string(address))
	if err == nil {
		return listener.(*net.TCPListener), nil
	}
	remedy := err.Error()
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "the port is in use: stop the program that has it, or choose another one; port 0 takes a free one"
	case errors.Is(err, syscall.EACCES):
		remedy = "this user may not listen on that port: choose one of 1024 or above, or grant the right to bind it"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "this machine does not have that address: use one of its own, or none for all of them, as :8080"
	}
	return nil, &Problem{Setting: setting, Value: string(address), Remedy: remedy}
}

// A limitedListener accepts a connection only while fewer than its limit are
// open. Those beyond wait in the system's queue: refusing them would let
// whoever opens most connections decide who is served.
type limitedListener struct {
	*net.TCPListener
	slots   chan struct{} // one for each open connection and the awaited one
	closing chan struct{} // closed by Close
	once    sync.Once     // of Close
	open    atomic.Int64  // connections
}

func limitConns(l *net.TCPListener, limit int) *limitedListener {
	return &limitedListener{TCPListener: l, slots: make(chan struct{}, limit), closing: make(chan struct{})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closing:
		return nil, net.ErrClosed
	}
	conn, err := l.AcceptTCP()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.open.Add(1)
	return &limitedConn{TCPConn: conn, free: sync.OnceFunc(func() { l.open.Add(-1); <-l.slots })}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closing) })
	return l.TCPListener.Close()
}

// A limitedConn gives its slot back when it is closed. It embeds the concrete
// type because net/http looks for CloseWrite, without which a client may lose
// the end of a last answer, and for ReadFrom.
type limitedConn struct {
	*net.TCPConn
	free func()
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}
