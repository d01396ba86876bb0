package identity

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/internal/authority"
)

// A desk is a directory with a node's files, and what is said of them.
type desk struct {
	t *testing.T
	Files

	mu  sync.Mutex
	log bytes.Buffer
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func newDesk(t *testing.T) *desk {
	dir := t.TempDir()
	return &desk{t: t, Files: Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}}
}

func (d *desk) logger() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

// said is what was logged since the last call.
func (d *desk) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.log.Reset()
	return d.log.String()
}

func (d *desk) put(path string, text []byte) {
	d.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// issue puts a pair of an authority there.
func (d *desk) issue(a *authority.Authority, r authority.Request) {
	d.t.Helper()
	if r.Hosts == nil {
		r.Hosts = []string{"127.0.0.1", "localhost"}
	}
	if r.Validity == 0 {
		r.Validity = 90 * 24 * time.Hour
	}
	cert, key, err := a.Issue(r)
	if err != nil {
		d.t.Fatal(err)
	}
	d.put(d.Cert, cert)
	d.put(d.Key, key)
}

func (d *desk) trust(all ...*authority.Authority) {
	d.t.Helper()
	var text []byte
	for _, a := range all {
		text = append(text, a.Cert()...)
	}
	d.put(d.CA, text)
}

func (d *desk) read(hosts ...string) *Identity {
	d.t.Helper()
	i, problems := Read(d.Files, d.logger(), hosts...)
	if len(problems) > 0 {
		d.t.Fatal(problems)
	}
	return i
}

func newAuthority(t *testing.T, name string) *authority.Authority {
	t.Helper()
	a, err := authority.New(name, 10*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFilesThatAreOfNoUseAreNamedWithARemedy(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	for _, row := range []struct {
		what   string
		change func(*desk)
		want   []string
	}{
		{"no certificate", func(d *desk) { os.Remove(d.Cert) }, []string{"Cert", "no such file", "give the path"}},
		{"nothing at all", func(d *desk) { d.put(d.Cert, nil) }, []string{"Cert", "give PEM files"}},
		{"half a certificate", func(d *desk) { text, _ := os.ReadFile(d.Cert); d.put(d.Cert, text[:len(text)/2]) }, []string{"Cert", "give PEM files"}},
		{"another's key", func(d *desk) { _, key, _ := ours.Issue(authority.Request{Validity: time.Hour}); d.put(d.Key, key) }, []string{"Cert", "does not match", "its key"}},
		{"no authority", func(d *desk) { d.put(d.CA, []byte("none")) }, []string{"CA", "no certificate in it"}},
		{"a broken authority", func(d *desk) { d.put(d.CA, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")) }, []string{"CA", "certificate 1 in it is none"}},
		{"another authority", func(d *desk) { d.trust(foreign) }, []string{"Cert", "none of the authorities", "CN=ours"}},
		{"another host", func(d *desk) { d.issue(ours, authority.Request{Hosts: []string{"10.0.0.9", "b"}}) }, []string{"Cert", "it is for b, 10.0.0.9", "127.0.0.1", "issued for that too"}},
		{"expired", func(d *desk) { d.issue(ours, authority.Request{Validity: -time.Minute}) }, []string{"Cert", "valid from", "put a new one"}},
		{"not yet valid", func(d *desk) {
			d.issue(ours, authority.Request{Change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }})
		}, []string{"Cert", "valid from", "clock"}},
		{"for servers alone", func(d *desk) {
			d.issue(ours, authority.Request{Change: func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }})
		}, []string{"Cert", "both ends"}},
		{"for clients alone", func(d *desk) {
			d.issue(ours, authority.Request{Change: func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }})
		}, []string{"Cert", "both ends"}},
	} {
		d := newDesk(t)
		d.trust(ours)
		d.issue(ours, authority.Request{Name: "a"})
		d.read("127.0.0.1")
		row.change(d)
		_, problems := Read(d.Files, d.logger(), "127.0.0.1")
		if len(problems) != 1 {
			t.Errorf("%s: got %v, want a problem", row.what, problems)
			continue
		}
		err := problems[0]
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want it to say %q", row.what, err, want)
			}
		}
	}
}

func TestNewFilesAreUsedWithinTenSecondsAndBrokenOnesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, next := newAuthority(t, "ours"), newAuthority(t, "next")
		d := newDesk(t)
		d.trust(ours)
		d.issue(ours, authority.Request{Name: "first"})
		i := d.read("127.0.0.1")
		var changes []bool
		i.OnChange(func(authorities bool) { changes = append(changes, authorities) })
		go i.Watch(t.Context())
		name := func() string { return i.inUse.Load().pair.Leaf.Subject.CommonName }
		step := func(what string, change func(), wantName string, wantLines int, want string) {
			t.Helper()
			change()
			time.Sleep(lookEvery)
			synctest.Wait()
			said := d.said()
			if name() != wantName || strings.Count(said, "\n") != wantLines || !strings.Contains(said, want) {
				t.Errorf("%s: %q is in use, and said was %q; want %q, and %d lines with %q", what, name(), said, wantName, wantLines, want)
			}
		}
		step("nothing", func() {}, "first", 0, "")
		step("a pair", func() { d.issue(ours, authority.Request{Name: "second"}) }, "second", 1, "read anew")
		step("half a file", func() { d.put(d.Cert, []byte("-----BEGIN")) }, "second", 1, "those before stay in use")
		step("the same half", func() {}, "second", 0, "")
		step("no file", func() { os.Remove(d.Cert) }, "second", 1, "no such file")
		step("still none", func() {}, "second", 0, "")
		step("another authority's pair", func() { d.issue(next, authority.Request{Name: "third"}) }, "second", 1, "none of the authorities")
		step("and both authorities", func() { d.trust(ours, next) }, "third", 1, "other authorities\"=true")
		step("the new one alone", func() { d.trust(next) }, "third", 1, "other authorities\"=true")
		step("the old one alone", func() { d.trust(ours) }, "third", 1, "none of the authorities")
		step("the new one again", func() { d.trust(next) }, "third", 0, "")
		step("not valid yet", func() {
			d.issue(next, authority.Request{Name: "early", Change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(3 * lookEvery / 2) }})
		}, "third", 1, "valid from")
		step("valid by now", func() {}, "early", 1, "read anew")
		step("expired", func() { d.issue(next, authority.Request{Name: "fourth", Validity: -time.Second}) }, "early", 1, "put a new one")
		if want := []bool{false, true, true, false}; len(changes) != 4 || changes[3] || changes[0] != want[0] || changes[1] != want[1] || changes[2] != want[2] {
			t.Errorf("changes: got %v, want %v", changes, want)
		}
	})
}

func TestTheLogWarnsOnceADayFromFourteenDaysBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours := newAuthority(t, "ours")
		d := newDesk(t)
		d.trust(ours)
		const day = 24 * time.Hour
		d.issue(ours, authority.Request{Name: "a", Validity: 15 * day})
		i := d.read()
		if want := time.Now().Add(15 * day).Truncate(time.Second); !i.Ends().Equal(want) {
			t.Errorf("Ends: got %v, want %v", i.Ends(), want)
		}
		said := func(after time.Duration, want int, words string) {
			t.Helper()
			for ; after > 0; after -= min(after, time.Hour) {
				time.Sleep(min(after, time.Hour))
				i.Look()
			}
			got := d.said()
			if lines := strings.Count(got, "\n"); lines != want || !strings.Contains(got, words) {
				t.Errorf("at %v: %d lines, want %d with %q: %s", time.Now(), lines, want, words, got)
			}
		}
		said(day-lookEvery, 0, "")
		said(lookEvery, 1, "ends soon")
		said(day-lookEvery, 0, "")
		said(lookEvery, 1, "ends soon")
		said(12*day, 12, "ends soon")
		said(day, 1, "has ended")
		d.issue(ours, authority.Request{Name: "b", Validity: 15 * day})
		said(lookEvery, 1, "read anew")
		said(12*time.Hour, 0, "")
	})
}

func TestAnIdentityEndsWithItsAuthority(t *testing.T) {
	short, err := authority.New("short", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.trust(short)
	d.issue(short, authority.Request{Name: "a", Change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(48 * time.Hour) }})
	if got := d.read().Ends(); !got.Equal(short.Ends()) {
		t.Errorf("Ends: got %v, want the authority's, %v", got, short.Ends())
	}
}

func TestThePEMOfAnIdentityIsOfTheSameCertificateAndKey(t *testing.T) {
	ours := newAuthority(t, "ours")
	d := newDesk(t)
	d.trust(ours)
	d.issue(ours, authority.Request{Name: "a"})
	pair, authorities := d.read().PEM()
	both := Files{Cert: "both", Key: "both", CA: "ca"}
	if _, problem := both.parse(contents{pair, pair, authorities}, time.Now(), []string{"localhost"}); problem != nil {
		t.Error(problem)
	}
}

func FuzzFilesAreTakenOrRefused(f *testing.F) {
	a, err := authority.New("ours", time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	cert, key, err := a.Issue(authority.Request{Hosts: []string{"a"}, Validity: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert, key, a.Cert())
	f.Add(append(cert, a.Cert()...), key, append(a.Cert(), cert...))
	f.Fuzz(func(t *testing.T, cert, key, ca []byte) {
		s, problem := Files{Cert: "c", Key: "k", CA: "a"}.parse(contents{cert, key, ca}, time.Now(), []string{"a"})
		switch {
		case (s == nil) == (problem == nil):
			t.Errorf("got %v and %v", s, problem)
		case problem != nil && (problem.Remedy == "" || problem.Field == ""):
			t.Errorf("nothing is said: %v", problem)
		case problem == nil && s.ends.Before(time.Now()):
			t.Errorf("it ended at %v", s.ends)
		}
	})
}
