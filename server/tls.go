package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A TLSVersion is a version of TLS.
type TLSVersion uint16

func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	default:
		return errors.New("write 1.2 or 1.3; the versions before are broken")
	}
	return nil
}

func (v TLSVersion) String() string {
	if v == tls.VersionTLS13 {
		return "1.3"
	}
	return "1.2"
}

// A content tells the content of files from other content.
type content [sha256.Size]byte

// frontPairs reads the pairs of files that the front shows.
func (c *Config) frontPairs() ([]tls.Certificate, content, []*Problem) {
	return c.readPairs("tls.cert", "tls.key", c.TLSCert, c.TLSKey)
}

// adminPairs reads the pair of files that the admin listener shows, if any.
func (c *Config) adminPairs() ([]tls.Certificate, content, []*Problem) {
	if c.AdminCert == "" {
		return nil, content{}, nil
	}
	return c.readPairs("admin.tls-cert", "admin.tls-key", []string{c.AdminCert}, []string{c.AdminKey})
}

// readPairs reads as many certificates as keys. What it has read it tells by
// the content also where that is of no use.
func (c *Config) readPairs(certName, keyName string, certs, keys []string) (pairs []tls.Certificate, read content, problems []*Problem) {
	all := sha256.New()
	file := func(name, path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, c.problem(name, path, fmt.Sprintf("%v: give the path of a PEM file that this user may read", err)))
			return nil
		}
		fmt.Fprintf(all, "%d ", len(text))
		all.Write(text)
		return text
	}
	for i := range certs {
		cert, key := file(certName, certs[i]), file(keyName, keys[i])
		if cert == nil || key == nil {
			continue
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			problems = append(problems, c.problem(certName, certs[i], pairRemedy(err)))
			continue
		}
		pairs = append(pairs, pair)
	}
	return pairs, content(all.Sum(nil)), problems
}

// pairRemedy says what to do about a certificate and a key that are of no use.
func pairRemedy(err error) string {
	return fmt.Sprintf("%v: give PEM files of a certificate, its own before those of its chain, and of its key", err)
}

// certificates are those that a listener shows.
type certificates struct {
	read func() ([]tls.Certificate, content, []*Problem)
	log  *slog.Logger

	shown atomic.Pointer[[]tls.Certificate]
	mu    sync.Mutex // one looks at the files at a time
	seen  content    // when they were last looked at; guarded by mu
}

// set shows the certificates, which were read from the content.
func (c *certificates) set(pairs []tls.Certificate, from content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = from
	c.shown.Store(&pairs)
}

// choose implements tls.Config.GetCertificate.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	pairs := *c.shown.Load()
	for i := range pairs {
		if hello.SupportsCertificate(&pairs[i]) == nil {
			return &pairs[i], nil
		}
	}
	return &pairs[0], nil
}

// watch looks at the files until ctx ends. While they are of no use, as between
// the writing of a certificate and that of its key, what is shown stays.
func (c *certificates) watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.look()
		case <-ctx.Done():
			return
		}
	}
}

func (c *certificates) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	pairs, now, problems := c.read()
	if bytes.Equal(now[:], c.seen[:]) {
		return
	}
	c.seen = now
	if len(problems) > 0 {
		c.log.Warn("certificates not renewed; those before stay", "error", join(problems))
		return
	}
	c.shown.Store(&pairs)
	c.log.Info("certificates renewed")
}

// tlsConfig is how a listener speaks TLS. net/http adds HTTP/2.
func (c *certificates) tlsConfig(least TLSVersion) *tls.Config {
	return &tls.Config{GetCertificate: c.choose, MinVersion: uint16(least)}
}
