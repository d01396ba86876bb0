package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

// Refused logs who was refused at a port, and why, once a minute.
func (t *Transport) Refused(port string) func(from string, cause error) {
	return func(from string, cause error) {
		if t.ctx.Err() == nil {
			t.quiet.say(slog.LevelWarn, "a stranger was refused at "+port, hostOf(from), cause.Error(), "from", from)
		}
	}
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// Vouches reports whether the certificate of the caller of a handler, if it has
// shown one, is for the host of an address that it gives as its own. Else whoever
// has a certificate could be any node.
func Vouches(ctx context.Context, address string) error {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, secure := p.AuthInfo.(credentials.TLSInfo)
	if !secure || address == "" {
		return nil
	}
	if err := info.State.PeerCertificates[0].VerifyHostname(hostOf(address)); err != nil {
		return refuse("the caller says that it is at %s, for which its certificate is not: %v: have one issued for the host by which others call it", address, err)
	}
	return nil
}

// plaintext are the credentials of nodes without certificates. They know TLS when
// they meet it, to say so.
type plaintext struct {
	refused func(from string, cause error)
}

var (
	errSpeaksTLS  = errors.New("the caller speaks TLS, and this node has no certificate: give it one too (--cluster.tls-cert)")
	errSaidNought = errors.New("the node there has ended the connection without a word: if it demands TLS, give this one a certificate too (--cluster.tls-cert)")
)

// clientHello is the first byte of all that a caller sends by TLS: the type of a
// record, of RFC 8446, section 5.1. HTTP/2 begins with a letter.
const clientHello = 22

func (c plaintext) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	var first [1]byte
	if _, err := io.ReadFull(raw, first[:]); err != nil {
		return nil, nil, err
	}
	if first[0] == clientHello {
		c.refused(raw.RemoteAddr().String(), errSpeaksTLS)
		_, _ = raw.Write([]byte("this node speaks no TLS\n")) // what a caller by TLS tells from it
		identity.Part(raw)
		return nil, nil, errSpeaksTLS
	}
	return insecure.NewCredentials().ServerHandshake(&peeked{Conn: raw, first: first[:]})
}

func (c plaintext) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return insecure.NewCredentials().ClientHandshake(ctx, authority, &hoping{Conn: raw})
}

func (c plaintext) Info() credentials.ProtocolInfo { return insecure.NewCredentials().Info() }

func (c plaintext) Clone() credentials.TransportCredentials { return c }

// OverrideServerName is for tests of gRPC's own.
func (c plaintext) OverrideServerName(string) error { return nil }

// A peeked conn has been read of.
type peeked struct {
	net.Conn
	first []byte
}

func (p *peeked) Read(into []byte) (int, error) {
	if len(p.first) > 0 && len(into) > 0 {
		n := copy(into, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(into)
}

// A hoping conn has not been heard on.
type hoping struct {
	net.Conn
	heard bool
}

func (h *hoping) Read(into []byte) (int, error) {
	n, err := h.Conn.Read(into)
	if !h.heard && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		err = fmt.Errorf("%w: %w", errSaidNought, err)
	}
	h.heard = h.heard || n > 0
	return n, err
}
