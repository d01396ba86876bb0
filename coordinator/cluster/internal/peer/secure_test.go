package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
	"github.com/corralcache/corral/internal/authority"
)

// papers are a node's files.
func papers(t *testing.T, issuer *authority.Authority, r authority.Request, trusted ...*authority.Authority) identity.Files {
	t.Helper()
	dir := t.TempDir()
	f := identity.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	reissue(t, f, issuer, r, trusted...)
	return f
}

func reissue(t *testing.T, f identity.Files, issuer *authority.Authority, r authority.Request, trusted ...*authority.Authority) {
	t.Helper()
	if r.Hosts == nil {
		r.Hosts = []string{"127.0.0.1"}
	}
	if r.Validity == 0 {
		r.Validity = time.Hour
	}
	cert, key, err := issuer.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	var ca []byte
	for _, a := range append(trusted, issuer) {
		ca = append(ca, a.Cert()...)
	}
	for path, text := range map[string][]byte{f.Cert: cert, f.Key: key, f.CA: ca} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func identify(t *testing.T, f identity.Files) *identity.Identity {
	t.Helper()
	i, problems := identity.Read(f, slog.New(slog.DiscardHandler))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return i
}

func newAuthority(t *testing.T, name string) *authority.Authority {
	t.Helper()
	a, err := authority.New(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A book is a log that goroutines write to.
type book struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// answering is a transport that answers contacts, on a real socket.
func answering(t *testing.T, id *identity.Identity, vouch func() string) (*Transport, string, *book) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := new(book)
	transport, err := New(Config{Listener: socket, Identity: id, Log: slog.New(slog.NewTextHandler(b, nil)), Contact: func(ctx context.Context, theirs []byte) ([]byte, error) {
		if vouch != nil {
			return theirs, Vouches(ctx, vouch())
		}
		return theirs, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.Close)
	return transport, socket.Addr().String(), b
}

func TestMutualTLSLetsInWhoHasACertificateOfTheAuthority(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ours := newAuthority(t, "ours")
	member := func() *identity.Identity { return identify(t, papers(t, ours, authority.Request{Name: "n"})) }
	transports, heard := loopback(t, [2]*identity.Identity{member(), member()})
	defer transports[0].Close()
	defer transports[1].Close()
	<-heard[0].opened
	<-heard[1].opened
	body, err := transports[0].Fetch(t.Context(), "b", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v", got, err)
	}
	body.Close()
}

func TestStrangersAreRefusedInBothDirectionsWithAReason(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	member := func() *identity.Identity { return identify(t, papers(t, ours, authority.Request{Name: "n"})) }
	// A stranger's own files fit together for itself; it would find out else.
	expiring := authority.Request{Name: "x", Hosts: []string{"127.0.0.1", "x"}, Validity: 3 * time.Second}
	for _, row := range []struct {
		what             string
		node, stranger   *identity.Identity
		calling, said    string // what the stranger learns as it calls, and what the node's log says of it
		called           string // what the node learns as it calls the stranger
		strangerSaidThen string // and what the stranger's log says of that
	}{
		{
			"of another authority", member(), identify(t, papers(t, foreign, authority.Request{Name: "f"})),
			"of an authority that this node does not know", "", // the stranger does not know the node either
			"shows its certificate for 127.0.0.1, of an authority that this node does not know", "the caller refuses this node",
		},
		{
			"of another authority, which trusts ours", member(), identify(t, papers(t, foreign, authority.Request{Name: "f"}, ours)),
			"refuses this node: its log says why", "the caller shows its certificate for 127.0.0.1, of an authority that this node does not know: if it belongs to this cluster, give both the same authorities",
			"of an authority that this node does not know", "the caller refuses this node",
		},
		{
			"for another host", member(), identify(t, papers(t, ours, authority.Request{Name: "w", Hosts: []string{"10.9.9.9", "elsewhere"}})),
			"", "", // its authority is ours: what it may say of itself is another test's
			"shows its certificate for elsewhere, 10.9.9.9, and not for its address 127.0.0.1", "the caller refuses this node",
		},
		{
			"whose certificate ends", member(), identify(t, papers(t, ours, expiring)),
			"refuses this node: its log says why", "the caller shows its certificate for x, 127.0.0.1, which is not valid now: renew it there",
			"which is not valid now: renew it there", "the caller refuses this node",
		},
		{
			"in plain text", member(), nil,
			"if it demands TLS, give this one a certificate too", "the caller speaks no TLS, which this node demands: give it a certificate too",
			"the node there speaks no TLS, which this node demands", "the caller speaks TLS, and this node has no certificate",
		},
	} {
		t.Run(row.what, func(t *testing.T) {
			if row.what == "whose certificate ends" {
				time.Sleep(time.Until(row.stranger.Ends()) + time.Second/10)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			node, at, log := answering(t, row.node, nil)
			stranger, strangerAt, strangerLog := answering(t, row.stranger, nil)
			check := func(what string, err error, want string) {
				t.Helper()
				if want == "" && err == nil {
					return
				}
				if want == "" || err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v\nwant %q", what, err, want)
				}
			}
			says := func(whose string, log *book, want string) {
				t.Helper()
				for ; !strings.Contains(log.String(), want) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
				}
				if got := log.String(); !strings.Contains(got, want) || want != "" && !strings.Contains(got, "from=127.0.0.1") {
					t.Errorf("the log of %s: got %s\nwant %q", whose, got, want)
				}
			}
			_, err := stranger.Contact(ctx, at, nil)
			check("the stranger calls", err, row.calling)
			says("the node", log, row.said)
			_, err = node.Contact(ctx, strangerAt, nil)
			check("the node calls", err, row.called)
			says("the stranger", strangerLog, row.strangerSaidThen)
		})
	}
}

func TestACallerWithoutACertificateIsRefused(t *testing.T) {
	ours := newAuthority(t, "ours")
	_, at, log := answering(t, identify(t, papers(t, ours, authority.Request{Name: "n"})), nil)
	err := callWithout(t, at, ours)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "client didn't provide a certificate") && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if want := "the caller has no certificate of this cluster's authorities: if it belongs to the cluster, give it one"; err == nil || !strings.Contains(log.String(), want) {
		t.Errorf("got %v, and the log\n%s\nwant %q", err, log, want)
	}
}

func TestACallerSaysOnlyWhatItsCertificateIsFor(t *testing.T) {
	ours := newAuthority(t, "ours")
	id := func(hosts ...string) *identity.Identity {
		return identify(t, papers(t, ours, authority.Request{Name: "n", Hosts: hosts}))
	}
	claim := ""
	_, at, log := answering(t, id("127.0.0.1"), func() string { return claim })
	caller, _, _ := answering(t, id("10.0.0.7", "seven"), nil)
	for address, want := range map[string]bool{"10.0.0.7:7070": true, "seven:1": true, "10.0.0.8:7070": false, "127.0.0.1:7070": false} {
		claim = address
		if _, err := caller.Contact(t.Context(), at, nil); (err == nil) != want {
			t.Errorf("it says that it is at %s: got %v", address, err)
		}
		if want == strings.Contains(log.String(), "at "+address+", for which its certificate is not") {
			t.Errorf("it says that it is at %s: the log says %s", address, log)
		}
	}
}

func TestANodeThatCallsAsAnotherIsRefused(t *testing.T) {
	ours := newAuthority(t, "ours")
	heard := newListener()
	node, at, log := answering(t, identify(t, papers(t, ours, authority.Request{Name: "b"})), nil)
	if err := node.Start(Member{Self: core.Node{Name: "b", Incarnation: 1}, Cluster: "herd", Partitions: 64}, heard); err != nil {
		t.Fatal(err)
	}
	node.SetPeers(map[string]Place{"a": {"10.1.1.1:7070", 1}}) // and not where the caller is
	caller, _, callerLog := answering(t, identify(t, papers(t, ours, authority.Request{Name: "x"})), nil)
	if err := caller.Start(Member{Self: core.Node{Name: "a", Incarnation: 1}, Cluster: "herd", Partitions: 64}, newListener()); err != nil {
		t.Fatal(err)
	}
	caller.SetPeers(map[string]Place{"b": {at, 1}})
	const want = "the caller says that it is at 10.1.1.1:7070, for which its certificate is not"
	for end := time.Now().Add(10 * time.Second); !(strings.Contains(log.String(), want) && strings.Contains(callerLog.String(), want)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if !strings.Contains(log.String(), want) || !strings.Contains(callerLog.String(), want) {
		t.Errorf("the logs say\n%s%s\nwant %q in both", log, callerLog, want)
	}
	select {
	case <-heard.opened:
		t.Error("it was let in")
	default:
	}
}

func TestAnotherPairAndAuthorityAreUsedForTheNextHandshake(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	files := [2]identity.Files{papers(t, before, authority.Request{Name: "a"}), papers(t, before, authority.Request{Name: "b"})}
	ids := [2]*identity.Identity{identify(t, files[0]), identify(t, files[1])}
	caller, _, _ := answering(t, ids[0], nil)
	_, at, _ := answering(t, ids[1], nil)
	contact := func(what string) {
		t.Helper()
		if _, err := caller.Contact(t.Context(), at, nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	contact("at first")
	for _, step := range []struct {
		what    string
		issuer  *authority.Authority
		trusted []*authority.Authority
	}{
		{"both authorities", before, []*authority.Authority{after}},
		{"a pair of the new one", after, []*authority.Authority{before}},
		{"the new one alone", after, nil},
	} {
		for i := range files { // one after the other, as an operator does it
			reissue(t, files[i], step.issuer, authority.Request{Name: "n"}, step.trusted...)
			ids[i].Look()
			contact(step.what)
		}
	}
	old := identify(t, papers(t, before, authority.Request{Name: "old", Change: func(*x509.Certificate) {}}, after))
	stranger, _, _ := answering(t, old, nil)
	if _, err := stranger.Contact(t.Context(), at, nil); err == nil {
		t.Error("a certificate of the authority that was given up is still taken")
	}
}

// callWithout calls with TLS and no certificate, and returns what comes of it.
func callWithout(t *testing.T, address string, trusted *authority.Authority) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted.Cert())
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 it comes so late
	return err
}
