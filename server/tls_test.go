package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority issues certificates.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.path("ca"), "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name+".pem") }

// issue writes a certificate for a host and its key to files, and gives its
// serial number.
func (a *authority) issue(t *testing.T, file, host string) (cert, key string, serial int64) {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	own := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = a.path(file), a.path(file+"-key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", private)
	return cert, key, a.serial
}

// trusting is how a client asks for a host that the authority vouches for.
func (a *authority) trusting(host string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, ServerName: host}
}

func tlsClient(t *testing.T, config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// shownTo gives the serial number of the certificate that is shown to a client.
func shownTo(t *testing.T, s *running, config *tls.Config) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", s.tlsOn.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLSSpeaksHTTP2AndShowsTheCertificateThatIsAskedFor(t *testing.T) {
	a := newAuthority(t)
	cert1, key1, first := a.issue(t, "a", "a.example")
	cert2, key2, second := a.issue(t, "b", "b.example")
	s := start(t, stub{HandlerFunc: hello}, "tls.listen", "127.0.0.1:0", "tls.cert", cert1+","+cert2, "tls.key", key1+", "+key2)
	if code, body := get(t, tlsClient(t, a.trusting("a.example")), s.TLSURL()); code != 200 || body != "hello by HTTP/2.0\n" {
		t.Errorf("by TLS: %d %q, want 200 by HTTP/2.0", code, body)
	}
	if code, body := get(t, client(t, false), s.URL()); code != 200 || body != "hello by HTTP/1.1\n" {
		t.Errorf("without: %d %q, want 200 by HTTP/1.1", code, body)
	}
	anybody := &tls.Config{InsecureSkipVerify: true}
	for _, test := range []struct {
		config *tls.Config
		want   int64
	}{{a.trusting("a.example"), first}, {a.trusting("b.example"), second}, {anybody, first}} {
		if got := shownTo(t, s, test.config); got != test.want {
			t.Errorf("asked for %q: certificate %d, want %d", test.config.ServerName, got, test.want)
		}
	}
}

func TestTheFrontMaySpeakTLSAlone(t *testing.T) {
	a := newAuthority(t)
	cert, key, _ := a.issue(t, "a", "a.example")
	s := start(t, stub{HandlerFunc: hello}, "listen", "off", "tls.listen", "127.0.0.1:0", "tls.cert", cert, "tls.key", key, "tls.min-version", "1.3")
	if s.URL() != s.TLSURL() || !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Errorf("URL() = %q, TLSURL() = %q, want both by TLS", s.URL(), s.TLSURL())
	}
	if code, _ := get(t, tlsClient(t, a.trusting("a.example")), s.URL()); code != 200 {
		t.Errorf("by TLS: %d, want 200", code)
	}
	old := a.trusting("a.example")
	old.MaxVersion = tls.VersionTLS12
	if _, err := tls.Dial("tcp", s.tlsOn.Addr().String(), old); err == nil {
		t.Error("TLS 1.2 is spoken with tls.min-version 1.3")
	}
}

func TestNewCertificatesAreNoticedAndBrokenOnesAreNot(t *testing.T) {
	a := newAuthority(t)
	cert, key, first := a.issue(t, "a", "a.example")
	s := start(t, stub{HandlerFunc: hello}, "tls.listen", "127.0.0.1:0", "tls.cert", cert, "tls.key", key, "tls.reload-interval", "1ms")
	config := a.trusting("a.example")
	shown := func() int64 { return shownTo(t, s, config) }
	if got := shown(); got != first {
		t.Fatalf("certificate %d, want %d", got, first)
	}
	before := s.shown.shown.Load()
	if s.shown.look(); s.shown.shown.Load() != before {
		t.Error("files that are the same were read as new ones")
	}
	_, otherKey, _ := a.issue(t, "other", "a.example")
	text, err := os.ReadFile(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.shown.look()
	if got := shown(); got != first {
		t.Errorf("certificate %d with a key that is not its own, want %d to stay", got, first)
	}
	os.Remove(cert)
	s.shown.look()
	if got := shown(); got != first {
		t.Errorf("certificate %d without its file, want %d to stay", got, first)
	}
	_, _, renewed := a.issue(t, "a", "a.example")
	waitFor(t, func() bool { return shown() == renewed })
}

func TestValidateNamesCertificatesThatAreOfNoUse(t *testing.T) {
	a := newAuthority(t)
	cert, key, _ := a.issue(t, "a", "a.example")
	_, otherKey, _ := a.issue(t, "other", "a.example")
	empty := filepath.Join(a.dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ settings, want string }{
		{"tls.listen=:0", "tls.cert"},
		{"tls.listen=:0 tls.cert=" + cert, "tls.key"},
		{"tls.listen=:0 tls.cert=" + cert + " tls.key=" + key, ""},
		{"tls.listen=:0 tls.cert=" + cert + " tls.key=" + otherKey, "tls.cert"},
		{"tls.listen=:0 tls.cert=" + cert + " tls.key=/nonexistent", "tls.key"},
		{"tls.listen=:0 tls.cert=" + empty + " tls.key=" + key, "tls.cert"},
		{"tls.listen=:0 tls.cert=" + cert + "," + cert + " tls.key=" + key, "tls.key"},
		{"listen=off", "listen"},
		{"listen=:8443 tls.listen=:8443 tls.cert=" + cert + " tls.key=" + key, "tls.listen"},
		{"tls.listen=127.0.0.1:9090 tls.cert=" + cert + " tls.key=" + key, "admin.listen"},
		{"admin.tls-cert=" + cert, "admin.tls-key"},
		{"admin.tls-key=" + key, "admin.tls-cert"},
		{"admin.tls-cert=" + cert + " admin.tls-key=" + key, ""},
		{"admin.client-ca=" + cert, "admin.tls-cert"},
		{"admin.listen=:9090 admin.client-ca=" + cert + " admin.tls-cert=" + cert + " admin.tls-key=" + key, ""},
		{"admin.client-ca=" + key + " admin.tls-cert=" + cert + " admin.tls-key=" + key, "admin.client-ca"},
		{"admin.token-file=/nonexistent", "admin.token-file"},
		{"admin.token-file=" + empty, "admin.token-file"},
		{"admin.token-file=" + key + " admin.listen=:9090", ""},
		{"proxy-protocol=on", "proxy-protocol"},
		{"proxy-protocol=on trusted-proxies=10.0.0.1", ""},
		{"targeted-fields=A,B", ""},
		{"targeted-fields=A\tB", "targeted-fields"},
	} {
		c := valid(t)
		for pair := range strings.SplitSeq(test.settings, " ") {
			name, value, _ := strings.Cut(pair, "=")
			set(t, &c, name, value)
		}
		var got []string
		for _, problem := range c.Validate() {
			got = append(got, problem.Setting)
		}
		if fmt.Sprint(got) != fmt.Sprint(strings.Fields(test.want)) {
			t.Errorf("%s: Validate() = %v, want %v", test.settings, got, strings.Fields(test.want))
		}
	}
}
