package authority

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnAuthorityIsReadFromWhatItWrote(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	first, made, err := Open(dir, time.Hour)
	if err != nil || !made {
		t.Fatalf("Open of no directory: made %v, %v", made, err)
	}
	again, made, err := Open(dir, time.Minute)
	if err != nil || made || !again.Ends().Equal(first.Ends()) {
		t.Fatalf("Open again: made %v, %v; it ends at %v, want %v", made, err, again.Ends(), first.Ends())
	}
	text, _, err := again.Issue(Request{Name: "a", Hosts: []string{"10.0.0.1", "a.example"}, Validity: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(first.Cert())
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "a.example", KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("usage %v: %v", usage, err)
		}
	}
	if cert.VerifyHostname("10.0.0.1") != nil || cert.VerifyHostname("b") == nil || !cert.NotAfter.Equal(first.Ends()) || cert.IsCA {
		t.Errorf("the certificate is for %v and %v until %v, an authority's: %v", cert.DNSNames, cert.IPAddresses, cert.NotAfter, cert.IsCA)
	}
}

func TestADirectoryThatHoldsNoWholeAuthorityIsLeftAsItIs(t *testing.T) {
	for what, row := range map[string]struct {
		change func(dir string)
		want   string
	}{
		"no key":         {func(dir string) { os.Remove(filepath.Join(dir, KeyFile)) }, "go together"},
		"no certificate": {func(dir string) { os.Remove(filepath.Join(dir, CertFile)) }, "go together"},
		"another's key": {func(dir string) {
			other, _ := New("other", time.Hour)
			key, _ := other.Key()
			_ = os.WriteFile(filepath.Join(dir, KeyFile), key, 0o600)
		}, "the key is not that of the certificate"},
		"no PEM": {func(dir string) { _ = os.WriteFile(filepath.Join(dir, CertFile), []byte("x"), 0o600) }, "no PEM block"},
		"a node's": {func(dir string) {
			a, _, _ := Open(dir, time.Hour)
			cert, key, _ := a.Issue(Request{Name: "n", Validity: time.Hour})
			_ = os.WriteFile(filepath.Join(dir, CertFile), cert, 0o600)
			_ = os.WriteFile(filepath.Join(dir, KeyFile), key, 0o600)
		}, "not of an authority"},
		"one that has ended": {func(dir string) {
			old, _ := New("old", -time.Second)
			key, _ := old.Key()
			_ = os.WriteFile(filepath.Join(dir, CertFile), old.Cert(), 0o600)
			_ = os.WriteFile(filepath.Join(dir, KeyFile), key, 0o600)
		}, "it has ended"},
	} {
		dir := t.TempDir()
		if _, _, err := Open(dir, time.Hour); err != nil {
			t.Fatal(err)
		}
		row.change(dir)
		if _, _, err := Open(dir, time.Hour); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", what, err, row.want)
		}
	}
}

func TestAPairIsWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := os.WriteFile(cert, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WritePair(cert, key, []byte("c"), []byte("k")); err == nil {
		t.Error("it was written over")
	}
	if text, err := os.ReadFile(cert); err != nil || string(text) != "before" {
		t.Errorf("the certificate that was there: %q, %v", text, err)
	}
	if _, err := os.Stat(key); !os.IsNotExist(err) {
		t.Errorf("a key is left: %v", err)
	}
}

func FuzzAnAuthorityIsReadOrRefused(f *testing.F) {
	a, err := New("ours", time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	key, err := a.Key()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.Cert(), key)
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		if a, err := Parse(cert, key); (a == nil) == (err == nil) {
			t.Errorf("got %v and %v", a, err)
		}
	})
}
