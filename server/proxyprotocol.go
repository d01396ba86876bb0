package server

import (
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// greet makes connections begin with a header of the PROXY protocol, if they
// are to.
func (s *Server) greet(l *limitedListener) net.Listener {
	config := s.config.Load()
	if config.ProxyProtocol != On {
		return l
	}
	trusted := func(addr netip.Addr) bool { return s.config.Load().TrustedProxies.contains(addr) }
	return &greetedListener{limitedListener: l, trusted: trusted, timeout: config.HeaderTimeout}
}

// A greetedListener accepts connections from trusted addresses, each of which
// must begin with a header of the PROXY protocol, version 1 or 2. Whether one
// does is not guessed, and nobody else may connect: who could, could say
// whatever address he likes. The header is read when the connection is first
// used, so that one which sends none holds up nobody but itself.
//
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
type greetedListener struct {
	*limitedListener
	trusted func(netip.Addr) bool
	timeout time.Duration // of the header
}

func (l *greetedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.limitedListener.Accept()
		if err != nil {
			return nil, err
		}
		peer, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok || !l.trusted(peer.AddrPort().Addr()) {
			conn.Close()
			continue
		}
		return &greetedConn{
			Conn:   proxyproto.NewConn(conn, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(l.timeout)),
			socket: conn.(*limitedConn),
		}, nil
	}
}

// A greetedConn has the addresses that its header says.
type greetedConn struct {
	*proxyproto.Conn
	socket *limitedConn
}

// CloseWrite is what net/http looks for: see limitedConn.
func (c *greetedConn) CloseWrite() error { return c.socket.CloseWrite() }
