package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// Credentials are for gRPC, at both ends. refused is told which callers were
// refused, and why; but for those that leave without a word, as probes do.
func (i *Identity) Credentials(refused func(from string, cause error)) credentials.TransportCredentials {
	return handshaker{i, refused}
}

// A handshaker makes a configuration of TLS for each handshake: I2.
type handshaker struct {
	identity *Identity
	refused  func(from string, cause error)
}

func (h handshaker) config() *tls.Config {
	s := h.identity.inUse.Load()
	return &tls.Config{
		Certificates: []tls.Certificate{s.pair}, RootCAs: s.authorities, ClientCAs: s.authorities,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
		// Else one of another authority would not be shown, and its log speak of none.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.pair, nil },
	}
}

func (h handshaker) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := credentials.NewTLS(h.config()).ClientHandshake(ctx, authority, raw)
	if left(err) {
		return nil, nil, fmt.Errorf("the node there has ended the connection in the handshake: if it speaks no TLS, give it a certificate too (--cluster.tls-cert): %w", err)
	}
	if err != nil {
		return nil, nil, explain(err, "the node there", "its address "+authority)
	}
	return &called{Conn: conn}, info, nil
}

func (h handshaker) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	kept := &kept{Conn: raw}
	conn, info, err := credentials.NewTLS(h.config()).ServerHandshake(kept)
	if err == nil {
		kept.known = true
		return conn, info, nil
	}
	err = ExplainCaller(err)
	if h.refused != nil && !left(err) {
		h.refused(raw.RemoteAddr().String(), err)
	}
	Part(raw)
	return nil, nil, err
}

func (h handshaker) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (h handshaker) Clone() credentials.TransportCredentials { return h }

// OverrideServerName is for tests of gRPC's own.
func (h handshaker) OverrideServerName(string) error {
	return errors.New("identity: the name of a node is the host of its address")
}

// partWithin and partBytes are what Part waits for.
const (
	partWithin = 250 * time.Millisecond
	partBytes  = 64 << 10
)

// Part closes a connection so that the other end reads what it was told last. A
// close while something has come that was not read would take that back.
func Part(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(partWithin))
	_, _ = io.CopyN(io.Discard, conn, partBytes) // until the other end has closed it, mostly
	_ = conn.Close()
}

// A kept conn stays open when a handshake on it fails, for Part.
type kept struct {
	net.Conn
	known bool // set before anybody else has it
}

func (k *kept) Close() error {
	if !k.known {
		return nil
	}
	return k.Conn.Close()
}

// A called conn is the caller's end. With TLS 1.3 a caller learns only with its
// first Read that it was refused.
type called struct {
	net.Conn
	heard atomic.Bool
}

func (c *called) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.explain(err)
}

func (c *called) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.explain(err)
}

func (c *called) explain(err error) error {
	if err == nil || c.heard.Load() || errors.Is(err, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("the node there refuses this node: its log says why: %w", err)
}

// left reports whether a handshake has failed because the other end, or the
// network, was gone.
func left(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.As(err, &op) && op.Op != "remote error"
}

// isAlert reports whether an error is what the other end says of its own accord.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// ExplainCaller says why a caller was refused, and what to do about it.
func ExplainCaller(err error) error { return explain(err, "the caller", "it") }

// explain says why a handshake with somebody has failed, and what to do about it.
func explain(err error, who, where string) error {
	var (
		unverified *tls.CertificateVerificationError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
	)
	shown := "its certificate"
	if errors.As(err, &unverified) && len(unverified.UnverifiedCertificates) > 0 {
		shown = fmt.Sprintf("its certificate for %s", namesOf(unverified.UnverifiedCertificates[0]))
	}
	switch {
	case left(err):
		return err
	case errors.As(err, new(tls.RecordHeaderError)):
		return fmt.Errorf("%s speaks no TLS, which this node demands: give it a certificate too (--cluster.tls-cert): %w", who, err)
	case isAlert(err):
		return fmt.Errorf("%s refuses this node: its log says why: %w", who, err)
	case errors.As(err, &hostname):
		return fmt.Errorf("%s shows %s, and not for %s: have one issued for the host by which others call it: %w", who, shown, where, err)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("%s shows %s, of an authority that this node does not know: if it belongs to this cluster, give both the same authorities (--cluster.tls-ca): %w", who, shown, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%s shows %s, which is not valid now: renew it there, or set the clocks right: %w", who, shown, err)
	case errors.As(err, &unverified):
		return fmt.Errorf("%s shows %s, which does not do: %w", who, shown, err)
	}
	return fmt.Errorf("%s has no certificate of this cluster's authorities: if it belongs to the cluster, give it one (--cluster.tls-cert): %w", who, err)
}
