package server

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listen opens a listener or says why the address cannot be used.
func listen(address Address) (l *net.TCPListener, remedy string) {
	listener, err := net.Listen("tcp", string(address))
	switch {
	case err == nil:
		return listener.(*net.TCPListener), ""
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "the port is in use: stop the program that has it, or choose another one; port 0 takes a free one"
	case errors.Is(err, syscall.EACCES):
		remedy = "this user may not listen on that port: choose one of 1024 or above, or grant the right to bind it"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "this machine does not have that address: use one of its own, or none for all of them, as :8080"
	default:
		remedy = err.Error()
	}
	return nil, remedy
}

// connections are those of clients, on all listeners together.
type connections struct {
	slots chan struct{} // one for each that is open
	open  atomic.Int64
}

func newConnections(limit int) *connections { return &connections{slots: make(chan struct{}, limit)} }

func (c *connections) limit(l *net.TCPListener) *limitedListener {
	return &limitedListener{TCPListener: l, conns: c, closing: make(chan struct{})}
}

// A limitedListener hands a connection out only while fewer than the limit are
// open. Those beyond wait in the system's queue, and one in Accept: refusing
// them would let whoever opens most connections decide who is served.
type limitedListener struct {
	*net.TCPListener
	conns   *connections
	closing chan struct{} // closed by Close
	once    sync.Once     // of Close
}

func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	select {
	case l.conns.slots <- struct{}{}:
	case <-l.closing:
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conns.open.Add(1)
	return newLimitedConn(conn, sync.OnceFunc(func() { l.conns.open.Add(-1); <-l.conns.slots })), nil
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
	free        func()
	read, write deadline
}

func newLimitedConn(conn *net.TCPConn, free func()) *limitedConn {
	c := &limitedConn{TCPConn: conn, free: free}
	c.read.arm, c.write.arm = conn.SetReadDeadline, conn.SetWriteDeadline
	return c
}

func (c *limitedConn) SetReadDeadline(at time.Time) error  { return c.read.set(at) }
func (c *limitedConn) SetWriteDeadline(at time.Time) error { return c.write.set(at) }
func (c *limitedConn) SetDeadline(at time.Time) error {
	return errors.Join(c.read.set(at), c.write.set(at))
}

func (c *limitedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(p)
		if n > 0 || err == nil || !c.read.early(err) {
			return n, err
		}
	}
}

func (c *limitedConn) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := c.TCPConn.Write(p[written:])
		written += n
		if err == nil || !c.write.early(err) {
			return written, err
		}
	}
}

func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) {
	c.write.exact()
	return c.TCPConn.ReadFrom(r)
}

func (c *limitedConn) WriteTo(w io.Writer) (int64, error) {
	c.read.exact()
	return c.TCPConn.WriteTo(w)
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}
