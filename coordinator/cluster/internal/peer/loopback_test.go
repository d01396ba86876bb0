package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A listener hands its events over: on real sockets nothing else may be waited
// for.
type listener struct {
	opened, closed chan uint64
	came           chan core.Message
}

func newListener() *listener {
	return &listener{opened: make(chan uint64, 10), closed: make(chan uint64, 10), came: make(chan core.Message, 10)}
}

func (l *listener) Opened(_ core.Node, session uint64)          { l.opened <- session }
func (l *listener) Closed(_ core.Node, session uint64, _ error) { l.closed <- session }
func (l *listener) Received(_ core.Node, _ uint64, messages []core.Message) {
	for _, message := range messages {
		l.came <- message
	}
}
func (l *listener) Body(context.Context, uint64, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("body")), nil
}

// loopback starts two nodes on real sockets, which know of each other.
func loopback(t *testing.T, secure [2]*tls.Config) (transports [2]*Transport, heard [2]*listener) {
	t.Helper()
	places := map[string]Place{}
	for i, name := range []string{"a", "b"} {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		heard[i] = newListener()
		if transports[i], err = New(Config{Listener: socket, TLS: secure[i]}); err != nil {
			t.Fatal(err)
		}
		if err := transports[i].Start(Member{Self: core.Node{Name: name, Incarnation: 1}, Cluster: "herd", Partitions: 64}, heard[i]); err != nil {
			t.Fatal(err)
		}
		places[name] = Place{socket.Addr().String(), 1}
	}
	for _, transport := range transports {
		transport.SetPeers(places)
	}
	return transports, heard
}

func TestNoGoroutineIsLeftAfterClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	transports, heard := loopback(t, [2]*tls.Config{})
	session := <-heard[0].opened
	<-heard[1].opened
	transports[0].Send("b", session, core.Leave{Ask: 7})
	if got := <-heard[1].came; got != (core.Leave{Ask: 7}) {
		t.Errorf("got %v", got)
	}
	body, err := transports[1].Fetch(t.Context(), "a", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v", got, err)
	}
	left, err := transports[0].Fetch(t.Context(), "b", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	transports[1].Close()
	if got := <-heard[0].closed; got != session {
		t.Errorf("session %d ended, not %d", got, session)
	}
	transports[0].Close()
	body.Close()
	left.Close()
}

func TestMutualTLSLetsInWhoHasACertificateOfTheAuthority(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ours, foreign := newAuthority(t), newAuthority(t)
	transports, heard := loopback(t, [2]*tls.Config{ours.member(t), ours.member(t)})
	defer transports[0].Close()
	defer transports[1].Close()
	<-heard[0].opened
	<-heard[1].opened
	body, err := transports[0].Fetch(t.Context(), "b", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, secure := range map[string]*tls.Config{
		"plain":             nil,
		"no certificate":    {RootCAs: ours.pool()},
		"another authority": foreign.member(t),
	} {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := New(Config{Listener: socket, TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		address := transports[1].config.Listener.Addr().String()
		if answer, err := stranger.Contact(ctx, address, nil); err == nil || strings.Contains(err.Error(), "nothing to announce") {
			t.Errorf("%s: got %q, %v", name, answer, err)
		}
		stranger.Close()
	}
}

// An authority signs certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	return authority{key, sign(t, template, template, key, key)}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// member is what a node of the authority's cluster has.
func (a authority) member(t *testing.T) *tls.Config {
	t.Helper()
	key := newKey(t)
	certificate := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.certificate, key, a.key)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}},
		RootCAs:      a.pool(), ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	socket := func() net.Listener { return newNetwork(t).listen("a") }
	for _, row := range []struct {
		config Config
		member Member
		want   string
	}{
		{Config{}, Member{}, "peer: Config.Listener is nil: set where other nodes reach this one"},
		{Config{Listener: socket(), Limits: Limits{Fetches: -1}}, Member{}, "peer: Limits.Fetches is -1: set it above 0, or leave it 0 for the default"},
		{Config{Listener: socket(), Limits: Limits{QueuedBytes: 1000}}, Member{}, "peer: Limits.QueuedBytes is 1000, below Limits.MessageBytes, 1048576: no such message could be sent"},
		{Config{Listener: socket()}, Member{}, "peer: Member.Self is nobody: it needs a name and an incarnation"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a"}}, "peer: Member.Self is a/0: it needs a name and an incarnation"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "\xff", Incarnation: 1}, Cluster: "herd"}, `peer: Member is "\xff" of "herd": names are UTF-8, of at most 255 bytes`},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a", Incarnation: 1}}, "peer: Member.Cluster is empty: it is the cluster's UUID"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a", Incarnation: 1}, Cluster: "herd"}, "peer: Member.Partitions is 0: it is the cluster's, and above 0"},
	} {
		transport, err := New(row.config)
		if err == nil {
			err = transport.Start(row.member, newListener())
			transport.Close()
		}
		if err == nil || err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
}
