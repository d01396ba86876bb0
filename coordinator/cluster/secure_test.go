package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
	"github.com/corralcache/corral/internal/authority"
	"github.com/corralcache/corral/internal/ramdir"
)

func newAuthority(t *testing.T, name string) *authority.Authority {
	t.Helper()
	a, err := authority.New(name, 365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newPapers are the paths of a node's files, which issue and trust write.
func newPapers(t *testing.T) TLSFiles {
	dir := t.TempDir()
	return TLSFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
}

func (f TLSFiles) put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f TLSFiles) issue(t *testing.T, a *authority.Authority, hosts ...string) {
	t.Helper()
	if hosts == nil {
		hosts = []string{"127.0.0.1"}
	}
	cert, key, err := a.Issue(authority.Request{Name: "node", Hosts: hosts, Validity: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, f.Cert, cert)
	f.put(t, f.Key, key)
}

func (f TLSFiles) trust(t *testing.T, all ...*authority.Authority) {
	t.Helper()
	var text []byte
	for _, a := range all {
		text = append(text, a.Cert()...)
	}
	f.put(t, f.CA, text)
}

// A fleet is three nodes with etcd inside, each with a directory and files of its
// own.
type fleet struct {
	t       *testing.T
	configs []Config
	logs    []*logged
	nodes   []*Node

	unavailable atomic.Uint64 // answers to traffic
}

func newFleet(t *testing.T, size int, secure bool, issuer *authority.Authority) *fleet {
	f := &fleet{t: t, nodes: make([]*Node, size)}
	var peers []string
	for len(peers) < size {
		if address := freeAddress(t); !slices.Contains(peers, address) {
			peers = append(peers, address)
		}
	}
	for i, address := range peers {
		log := new(logged)
		config := Config{
			Name: string(rune('a' + i)), Listen: address, Peers: peers, Dir: ramdir.Dir(t, 3*ramdir.Member), New: true, Partitions: 32,
			Log: slog.New(slog.NewTextHandler(log, nil)),
		}
		if secure {
			config.TLS = newPapers(t)
			config.TLS.issue(t, issuer)
			config.TLS.trust(t, issuer)
		}
		f.configs, f.logs = append(f.configs, config), append(f.logs, log)
	}
	t.Cleanup(func() {
		f.stop()
		for i, log := range f.logs {
			if t.Failed() {
				t.Logf("log of node %s:\n%s", f.configs[i].Name, log)
			}
		}
	})
	return f
}

func (f *fleet) start() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), soon)
	defer cancel()
	var all sync.WaitGroup
	failures := make([]error, len(f.configs))
	for i, config := range f.configs {
		all.Go(func() { f.nodes[i], failures[i] = Join(ctx, config) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		f.t.Fatal(err)
	}
	connected(f.t, f.nodes)
}

func (f *fleet) stop() {
	var all sync.WaitGroup
	for i, n := range f.nodes {
		if n != nil {
			all.Go(func() { n.Close() })
		}
		f.nodes[i] = nil
	}
	all.Wait()
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
	defer cancel()
	for !is() {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("waited %v for %s", soon, what)
		}
	}
}

// traffic gets and invalidates keys at all nodes until it is stopped, and tells
// of every error but an invalidation that etcd did not take in time. That of a node
// without a lease it counts: lapses says whether there was one.
func (f *fleet) traffic() (stop func()) {
	o := &origin{}
	caches := openAll(f.t, f.nodes, o)
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	for i, c := range caches {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("k%d", n%50)
				_, err := c.Get(ctx, key)
				if n%20 == 0 && err == nil {
					err = c.Invalidate(ctx, key)
				}
				switch {
				case ctx.Err() != nil || err == nil:
				case errors.Is(err, corral.ErrNotAcknowledged): // etcd may look for a leader, for as long as the machine lets it
				case errors.Is(err, corral.ErrUnavailable):
					f.unavailable.Add(1)
				default:
					f.t.Errorf("at node %s: %v", f.configs[i].Name, err)
				}
				_ = pause(ctx, time.Millisecond)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// look has every node look at its files, as it does every ten seconds.
func (f *fleet) look() {
	for _, n := range f.nodes {
		n.secure.Look()
	}
}

func TestAClusterWithCertificatesSpeaksNothingElse(t *testing.T) {
	ours := newAuthority(t, "ours")
	f := newFleet(t, 3, true, ours)
	f.start()
	stop := f.traffic()
	time.Sleep(300 * time.Millisecond)
	stop()
	for _, n := range f.nodes {
		if got, want := n.Status().CertificateEnds, time.Now().Add(30*24*time.Hour); got.After(want) || got.Before(want.Add(-time.Hour)) {
			t.Errorf("CertificateEnds: got %v, want the end of the certificate, about %v", got, want)
		}
		for _, port := range []string{n.listens, n.server.Load().Client(), n.server.Load().Peer()} {
			plainCallerIsRefused(t, port)
			callerWithoutCertificateIsRefused(t, port, ours)
		}
	}
	until(t, "the log to name who was refused at each port", func() bool {
		for _, port := range []string{"this node's port", "etcd's port for nodes", "etcd's port for its members"} {
			if !strings.Contains(f.logs[0].String(), "a stranger was refused at "+port) {
				return false
			}
		}
		return true
	})
}

// plainCallerIsRefused calls as HTTP/2 in plain text begins, and is to be given
// nothing but an end.
func plainCallerIsRefused(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	answer, err := io.ReadAll(conn)
	if settings := []byte{0, 0, 6, 4}; errors.Is(err, os.ErrDeadlineExceeded) || bytes.HasPrefix(answer, settings) || len(answer) > 3 && answer[3] == 4 {
		t.Errorf("%s: a caller in plain text was answered %q, %v", address, answer, err)
	}
}

func callerWithoutCertificateIsRefused(t *testing.T, address string, trusted *authority.Authority) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted.Cert())
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		t.Errorf("%s: its own certificate: %v", address, err)
		return
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: a caller without a certificate was let in: %v", address, err)
	}
}

func TestCertificatesAndAuthoritiesChangeUnderTraffic(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	f := newFleet(t, 3, true, before)
	f.start()
	stop := f.traffic()
	members := make([]any, len(f.nodes))
	step := func(what string, restarts bool, change func(TLSFiles)) {
		t.Helper()
		for i, n := range f.nodes {
			members[i] = n.server.Load()
			change(f.configs[i].TLS)
		}
		f.look()
		for i, n := range f.nodes {
			until(t, what+": the member of etcd to serve", func() bool {
				server := n.server.Load()
				select {
				case <-server.Ready():
					return (members[i] != any(server)) == restarts
				default:
					return false
				}
			})
		}
		if t.Failed() {
			t.Fatalf("%s: it failed here", what)
		}
	}
	step("another certificate", false, func(p TLSFiles) { p.issue(t, before) })
	step("both authorities", true, func(p TLSFiles) { p.trust(t, before, after) })
	step("a certificate of the new one", false, func(p TLSFiles) { p.issue(t, after) })
	step("the new authority alone", true, func(p TLSFiles) { p.trust(t, after) })

	late := f.configs[0] // and who comes with what is of use now is let in
	late.Name, late.Listen, late.Dir, late.TLS, late.Log = "z", freeAddress(t), t.TempDir(), newPapers(t), logFor(t, "node z")
	late.TLS.issue(t, after)
	late.TLS.trust(t, after)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	n, err := Join(ctx, late)
	if err != nil {
		t.Fatal(err)
	}
	connected(t, append(f.nodes[:3:3], n))
	n.Close()
	stop()
	lapses := uint64(0) // of which a machine that is busy has some
	for _, n := range f.nodes {
		lapses += n.n.lapses.Load()
	}
	t.Logf("%d lapses of leases, %d answers that nothing is available", lapses, f.unavailable.Load())
	if lapses == 0 && f.unavailable.Load() > 0 {
		t.Error("nothing was available, and every node had its lease")
	}
	for _, n := range f.nodes {
		callerWithoutCertificateIsRefused(t, n.server.Load().Peer(), after)
	}
}

func TestAClusterThatWasBegunInPlainTextGoesOnWithCertificatesAndBack(t *testing.T) {
	for _, size := range []int{1, 3} {
		ours := newAuthority(t, "ours")
		f := newFleet(t, size, false, nil)
		f.start()
		cluster, epoch := f.nodes[0].Status().Cluster, f.nodes[0].Status().Epoch
		for _, secure := range []bool{true, false} {
			f.stop()
			for i := range f.configs {
				f.configs[i].New = false
				if f.configs[i].TLS = (TLSFiles{}); secure {
					f.configs[i].TLS = newPapers(t)
					f.configs[i].TLS.issue(t, ours)
					f.configs[i].TLS.trust(t, ours)
				}
			}
			f.start()
			if s := f.nodes[0].Status(); s.Cluster != cluster || s.Epoch <= epoch {
				t.Errorf("%d nodes, with certificates %v: cluster %s at table %d, want %s above %d", size, secure, s.Cluster, s.Epoch, cluster, epoch)
			}
			members, err := f.nodes[0].client.Members(t.Context())
			if err != nil || len(members) != size {
				t.Errorf("%d nodes, with certificates %v: members %v, %v", size, secure, members, err)
			}
		}
		f.stop()
	}
}

func TestANodeWhoseOwnFilesAreOfNoUseDoesNotBegin(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	for _, row := range []struct {
		what   string
		change func(TLSFiles, *Config)
		want   []string
	}{
		{"no certificate", func(p TLSFiles, _ *Config) { os.Remove(p.Cert) }, []string{"Config.TLS.Cert", "no such file", "give the path"}},
		{"neither key nor authority", func(p TLSFiles, _ *Config) { os.Remove(p.Key); os.Remove(p.CA) }, []string{"Config.TLS.Key", "Config.TLS.CA"}},
		{"of another authority", func(p TLSFiles, _ *Config) { p.trust(t, foreign) }, []string{"Config.TLS.Cert", "none of the authorities"}},
		{"for another host", func(p TLSFiles, _ *Config) { p.issue(t, ours, "localhost") }, []string{"it is for localhost", "call this one at 127.0.0.1"}},
		{"not for where it is advertised", func(_ TLSFiles, c *Config) { c.Advertise = "shop-1:7070" }, []string{"call this one at shop-1"}},
		{"not for etcd's ports", func(_ TLSFiles, c *Config) { c.EtcdListen = "127.0.0.2:20001,20002" }, []string{"call this one at 127.0.0.2"}},
	} {
		p := newPapers(t)
		p.issue(t, ours)
		p.trust(t, ours)
		address := freeAddress(t)
		c := Config{Name: "a", Listen: address, Peers: []string{address}, Dir: t.TempDir(), New: true, TLS: p, Log: logFor(t, "node a")}
		row.change(p, &c)
		n, err := Join(t.Context(), c)
		if err == nil {
			n.Close()
			t.Errorf("%s: it joined", row.what)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want it to say %q", row.what, err, want)
			}
		}
	}
}

func TestANodeAloneTakesOtherAuthoritiesToo(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	f := newFleet(t, 1, true, before)
	f.start()
	o := &origin{}
	c := openAll(t, f.nodes, o)[0]
	old := f.nodes[0].server.Load()
	f.configs[0].TLS.trust(t, before, after)
	f.look()
	until(t, "the member of etcd to start anew", func() bool {
		return f.nodes[0].server.Load() != old && strings.Contains(f.logs[0].String(), "has started anew, with other authorities")
	})
	f.configs[0].TLS.issue(t, after)
	f.configs[0].TLS.trust(t, after)
	f.look()
	until(t, "an invalidation", func() bool { return c.Invalidate(t.Context(), "k") == nil })
	until(t, "a value", func() bool { _, err := c.Get(t.Context(), "k"); return err == nil })
	_ = c.Close()
}

func TestATurnThatWasNotGivenBackIsTakenOnceItIsOld(t *testing.T) {
	ours := newAuthority(t, "ours")
	f := newFleet(t, 1, true, ours)
	f.start()
	n := f.nodes[0]
	plan := etcd.Embedded{Client: n.server.Load().Client()}
	result, err := n.client.Write(t.Context(), etcd.Txn{Put: map[string][]byte{etcd.TurnKey: []byte("another")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*turnAgain)
	defer cancel()
	if _, err := n.takeTurn(ctx, plan, time.Hour); err == nil {
		t.Error("another's turn was taken")
	}
	give, err := n.takeTurn(t.Context(), plan, 2*turnAgain)
	if err != nil {
		t.Fatal(err)
	}
	give()
	s, err := n.client.Read(t.Context())
	if left, there := s.Keys[etcd.TurnKey]; err != nil || there || result.Revision == 0 {
		t.Errorf("the turn is still %s's, %v", left.Value, err)
	}
}

func TestNodesSpeakTLSWithAnEtcdThatIsThere(t *testing.T) {
	ours := newAuthority(t, "ours")
	alone := newFleet(t, 1, true, ours) // whose etcd is there, for others
	alone.start()
	endpoint := alone.nodes[0].server.Load().Client()
	secured := func(c *Config) {
		c.TLS, c.EtcdPrefix = newPapers(t), "/other/"
		c.TLS.issue(t, ours)
		c.TLS.trust(t, ours)
	}
	nodes := []*Node{join(t, endpoint, "a", secured), join(t, endpoint, "b", secured)}
	connected(t, nodes)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if n, err := Join(ctx, Config{Name: "c", Listen: "127.0.0.1:0", Etcd: []string{endpoint}, EtcdPrefix: "/other/", Log: logFor(t, "node c")}); err == nil {
		n.Close()
		t.Error("a node without certificates joined")
	}
}

func TestAProcessAnnouncesOnlyWhatItsCertificateIsFor(t *testing.T) {
	ours := newAuthority(t, "ours")
	f := newFleet(t, 1, true, ours)
	f.start()
	files := newPapers(t)
	files.issue(t, ours, "10.0.0.9")
	files.trust(t, ours)
	id, problems := identity.Read(identity.Files(files), logFor(t, "the stranger"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := peer.New(peer.Config{Listener: socket, Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for self, want := range map[string]bool{"10.0.0.9:7070": true, "10.0.0.8:7070": false} {
		answered := make(chan error, 100)
		b, err := etcd.NewBootstrap(etcd.BootstrapConfig{
			Self: self, Peers: []string{f.nodes[0].listens, self}, Dir: t.TempDir(), Log: logFor(t, "the stranger"),
			Ask: func(ctx context.Context, address string, ours []byte) ([]byte, error) {
				theirs, err := stranger.Contact(ctx, address, ours)
				answered <- err
				return theirs, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		go b.Run(ctx)
		err = <-answered
		cancel()
		if (err == nil) != want || !want && !strings.Contains(err.Error(), "the caller says that it is at 10.0.0.8:7070, for which its certificate is not") {
			t.Errorf("it says that it is at %s: got %v", self, err)
		}
	}
	if log := f.logs[0].String(); !strings.Contains(log, "a contact was refused") || !strings.Contains(log, "from=127.0.0.1") {
		t.Errorf("the log says %s, want who was refused", log)
	}
}
