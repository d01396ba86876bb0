package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	issuing "github.com/corralcache/corral/internal/authority"
)

func TestTheFilesOfANodeAreCheckedBeforeItStarts(t *testing.T) {
	a, err := issuing.New("ours", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := issuing.New("foreign", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		what     string
		issuer   *issuing.Authority
		hosts    string
		validity time.Duration
		settings map[string]string
		setting  string // of the one problem, if there is one
		words    string
	}{
		{"good", a, "10.0.0.1", time.Hour, nil, "", ""},
		{"for where it is advertised", a, "shop-1", time.Hour, map[string]string{"cluster.advertise": "shop-1:7070"}, "", ""},
		{"for where it listens, and is advertised elsewhere", a, "10.0.0.1", time.Hour, map[string]string{"cluster.advertise": "shop-1:7070"}, "cluster.tls-cert", "call this one at shop-1"},
		{"for another host", a, "10.0.0.2", time.Hour, nil, "cluster.tls-cert", "it is for 10.0.0.2, and other nodes call this one at 10.0.0.1"},
		{"not for etcd", a, "10.0.0.1", time.Hour, map[string]string{"cluster.etcd-listen": "10.0.0.3:1,2"}, "cluster.tls-cert", "call this one at 10.0.0.3"},
		{"ended", a, "10.0.0.1", -time.Minute, nil, "cluster.tls-cert", "put a new one there"},
		{"of another authority", foreign, "10.0.0.1", time.Hour, nil, "cluster.tls-cert", "none of the authorities"},
		{"and no authority", a, "10.0.0.1", time.Hour, map[string]string{"cluster.tls-ca": os.DevNull}, "cluster.tls-ca", "no certificate in it"},
		{"and plain text", a, "10.0.0.1", time.Hour, map[string]string{"cluster.insecure-plaintext": "on"}, "cluster.insecure-plaintext", "leave this out"},
	} {
		cert, key, err := row.issuer.Issue(issuing.Request{Name: "n", Hosts: strings.Split(row.hosts, ","), Validity: row.validity})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for name, text := range map[string][]byte{"cert": cert, "key": key, "ca": a.Cert()} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := valid(t)
		settings := map[string]string{
			"cluster.listen": "10.0.0.1:7070", "cluster.peers": "10.0.0.1:7070", "cluster.dir": dir,
			"cluster.tls-cert": filepath.Join(dir, "cert"), "cluster.tls-key": filepath.Join(dir, "key"), "cluster.tls-ca": filepath.Join(dir, "ca"),
		}
		for name, value := range row.settings {
			settings[name] = value
		}
		for name, value := range settings {
			set(t, &c, name, value)
		}
		problems := c.Validate()
		switch {
		case row.setting == "" && len(problems) > 0:
			t.Errorf("%s: %v", row.what, problems)
		case row.setting != "" && (len(problems) != 1 || problems[0].Setting != row.setting || !strings.Contains(problems[0].Remedy, row.words)):
			t.Errorf("%s: got %v, want %s: …%s…", row.what, problems, row.setting, row.words)
		}
	}
}
