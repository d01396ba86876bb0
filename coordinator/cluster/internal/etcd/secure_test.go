package etcd

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
	"github.com/corralcache/corral/internal/authority"
)

func newAuthority(t *testing.T, name string) *authority.Authority {
	t.Helper()
	a, err := authority.New(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newIdentity writes files of an authority for hosts, and reads them.
func newIdentity(t *testing.T, validity time.Duration, issuer *authority.Authority, trusted *authority.Authority, hosts ...string) *identity.Identity {
	t.Helper()
	cert, key, err := issuer.Issue(authority.Request{Name: "n", Hosts: hosts, Validity: validity})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := identity.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	for path, text := range map[string][]byte{files.Cert: cert, files.Key: key, files.CA: append(issuer.Cert(), trusted.Cert()...)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i, problems := identity.Read(files, slog.New(slog.DiscardHandler))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return i
}

// rejections are who was refused at a member's ports, and why.
type rejections struct {
	mu  sync.Mutex
	all []string
}

func (r *rejections) at(port string) func(string, error) {
	return func(from string, cause error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, port+": "+cause.Error())
	}
}

func (r *rejections) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.all = nil }()
	return strings.Join(r.all, "\n")
}

func TestAMemberWithCertificatesServesWhoHasOneAndLeavesNothing(t *testing.T) {
	ours := newAuthority(t, "ours")
	config := members(t, 1)[0]
	config.Identity = newIdentity(t, time.Hour, ours, ours, "127.0.0.1")
	sockets := func() []string {
		found, _ := filepath.Glob(filepath.Join(os.TempDir(), "corral-etcd-*"))
		return found
	}
	there := len(sockets())
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	c := dial(t, Config{Endpoints: []string{s.Client()}, Identity: newIdentity(t, time.Hour, ours, ours, "10.0.0.1"), Log: config.Log})
	revision := put(t, c, "a", "1")
	changes, _ := watched(t, c, revision)
	if got := next(t, changes); string(got.Put["a"].Value) != "1" {
		t.Errorf("watched: got %v", got)
	}
	for _, name := range []string{pairFile, caFile} {
		if info, err := os.Stat(filepath.Join(config.Dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want it to be its owner's alone", name, info, err)
		}
	}
	c.Close()
	s.Stop()
	if left := sockets(); len(left) > there {
		t.Errorf("directories of sockets are left: %v", left)
	}
}

func TestStrangersAreRefusedAtEtcdsPortForNodes(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	said := new(rejections)
	begin := func(id *identity.Identity) *Server {
		config := members(t, 1)[0]
		config.Identity, config.Refused = id, said.at
		s := start(t, config)
		ready(t, s)
		return s
	}
	secured := begin(newIdentity(t, time.Hour, ours, ours, "127.0.0.1"))
	plain := begin(nil)
	elsewhere := begin(newIdentity(t, time.Hour, ours, ours, "10.0.0.9"))
	ending := newIdentity(t, 3*time.Second, ours, ours, "127.0.0.1")
	time.Sleep(time.Until(ending.Ends()) + time.Second/10)
	member := newIdentity(t, time.Hour, ours, ours, "127.0.0.1")
	for _, row := range []struct {
		what          string
		server        *Server
		identity      *identity.Identity
		error, logged string
	}{
		{"of another authority", secured, newIdentity(t, time.Hour, foreign, foreign, "127.0.0.1"), "of an authority that this node does not know", "the caller refuses this node"},
		{"of another authority, which trusts ours", secured, newIdentity(t, time.Hour, foreign, ours, "127.0.0.1"), "refuses this node: its log says why", "of an authority that this node does not know"},
		{"whose certificate has ended", secured, ending, "refuses this node: its log says why", "which is not valid now"},
		{"in plain text", secured, nil, "", "the caller speaks no TLS"},
		{"with TLS, and etcd has none", plain, member, "if it speaks no TLS, give it a certificate too", ""},
		{"and etcd is for another host", elsewhere, member, "its certificate for 10.0.0.9, and not for its address 127.0.0.1", "the caller refuses this node"},
	} {
		said.take()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		c, err := Dial(ctx, Config{Endpoints: []string{row.server.Client()}, Identity: row.identity, Log: new(logged).logger()})
		cancel()
		if err == nil {
			c.Close()
			t.Errorf("%s: it was let in", row.what)
			continue
		}
		if !strings.Contains(err.Error(), row.error) {
			t.Errorf("%s: got %v\nwant %q in it", row.what, err, row.error)
		}
		if log := said.take(); !strings.Contains(log, row.logged) {
			t.Errorf("%s: the log says %s\nwant %q", row.what, log, row.logged)
		}
	}
}
