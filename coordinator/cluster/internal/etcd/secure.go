package etcd

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// A member's own copies of what its identity has in use lie in its directory:
// etcd reads files at each handshake, also while somebody writes them. The
// certificate and the key are in one, so that they are always of each other.
const (
	pairFile = "etcd-pair.pem"
	caFile   = "etcd-ca.pem"
)

// secure makes both ports speak TLS, with certificates at both ends.
func (s *Server) secure(e *embed.Config) (err error) {
	if err := s.config.writePEM(); err != nil {
		return err
	}
	pair := filepath.Join(s.config.Dir, pairFile)
	members := &e.PeerTLSInfo
	members.CertFile, members.KeyFile, members.TrustedCAFile = pair, pair, filepath.Join(s.config.Dir, caFile)
	members.ClientCertAuth = true
	// etcd would look whether a certificate is for the address that a connection
	// comes from, which need not be the one that the member is called by.
	members.SkipClientSANVerify = true
	e.TlsMinVersion = "TLS1.3"

	// At the port for clients gRPC is given credentials of our own, which follow the
	// authorities too. It has the port to itself only if etcd's HTTP has another.
	if s.socket, err = os.MkdirTemp("", "corral-etcd-"); err != nil {
		return fmt.Errorf("directory for a socket: %w: name another directory for temporary files (TMPDIR)", err)
	}
	for i := range e.ListenClientUrls {
		e.ListenClientUrls[i].Scheme = "http"
	}
	e.ListenClientHttpUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(s.socket, "http")}}
	e.GRPCAdditionalServerOptions = append(e.GRPCAdditionalServerOptions, grpc.Creds(s.config.Identity.Credentials(s.config.Refused("etcd's port for nodes"))))
	return nil
}

func (s *Server) unsecure() {
	if s.socket != "" {
		_ = os.RemoveAll(s.socket) // an empty directory may stay
	}
}

// Renew has what the identity has in use now shown and asked for at the next
// handshakes between members, but for its authorities: those take a new start.
func (s *Server) Renew() error { return s.config.writePEM() }

func (c Embedded) writePEM() error {
	pair, authorities := c.Identity.PEM()
	for name, text := range map[string][]byte{pairFile: pair, caFile: authorities} {
		if err := writeWhole(filepath.Join(c.Dir, name), text); err != nil {
			return fmt.Errorf("copy of certificates: %w", c.explain(err))
		}
	}
	return nil
}

// reachInScheme changes the members' URLs in etcd's files if the cluster was begun
// in plain text and now speaks TLS, or the other way round: the members would
// never reach each other to agree on that.
func (c Embedded) reachInScheme() error {
	path := filepath.Join(c.data(), "member", "snap", "db")
	if _, err := os.Stat(path); err != nil {
		return nil // nothing was begun
	}
	config := backend.DefaultBackendConfig(zap.NewNop())
	config.Path = path
	files := backend.New(config)
	members := schema.NewMembershipBackend(zap.NewNop(), files)
	members.MustCreateBackendBuckets()
	all, _ := members.MustReadMembersFromBackend()
	for _, member := range all {
		changed := false
		for i, peer := range member.PeerURLs {
			_, address, _ := strings.Cut(peer, "://")
			member.PeerURLs[i] = c.scheme() + "://" + address
			changed = changed || member.PeerURLs[i] != peer
		}
		if changed {
			members.MustSaveMemberToBackend(member)
		}
	}
	files.ForceCommit()
	return files.Close()
}
