package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc/credentials"
)

// Credentials are for gRPC, at both ends. refused is told which callers were
// refused, and why; but for those that leave without a word, as probes do.
func (i *Identity) Credentials(refused func(from net.Addr, cause error)) credentials.TransportCredentials {
	return handshaker{i, refused}
}

// A handshaker makes a configuration of TLS for each handshake: I2.
type handshaker struct {
	identity *Identity
	refused  func(from net.Addr, cause error)
}

func (h handshaker) config() *tls.Config {
	s := h.identity.inUse.Load()
	return &tls.Config{
		Certificates: []tls.Certificate{s.pair}, RootCAs: s.authorities, ClientCAs: s.authorities,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

func (h handshaker) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := credentials.NewTLS(h.config()).ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, explain(err, "the node there", "its address "+authority)
	}
	return called{conn}, info, nil
}

func (h handshaker) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := credentials.NewTLS(h.config()).ServerHandshake(raw)
	if err != nil {
		err = explain(err, "the caller", "it")
		if h.refused != nil && !errors.Is(err, io.EOF) {
			h.refused(raw.RemoteAddr(), err)
		}
		return nil, nil, err
	}
	return conn, info, nil
}

func (h handshaker) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (h handshaker) Clone() credentials.TransportCredentials { return h }

// OverrideServerName is for tests of gRPC's own.
func (h handshaker) OverrideServerName(string) error {
	return errors.New("identity: the name of a node is the host of its address")
}

// A called conn is the caller's end. With TLS 1.3 a caller learns only with its
// first Read that it was refused.
type called struct{ net.Conn }

func (c called) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && isAlert(err) {
		err = explain(err, "the node there", "")
	}
	return n, err
}

// isAlert reports whether an error is what the other end says of its own accord.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

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
	case errors.Is(err, io.EOF), errors.As(err, new(net.Error)):
		return err
	}
	return fmt.Errorf("%s has no certificate of this cluster's authorities: if it belongs to the cluster, give it one (--cluster.tls-cert): %w", who, err)
}
