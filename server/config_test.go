package server

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// valid is a Config that nothing is wrong with.
func valid(t *testing.T) Config {
	t.Helper()
	c := Defaults()
	set(t, &c, "origin", "http://127.0.0.1:9000")
	return c
}

func set(t *testing.T, c *Config, name, value string) {
	t.Helper()
	if problem := find(t, c, name).Set(value); problem != nil {
		t.Fatalf("Set(%s, %q): %v", name, value, problem)
	}
}

func find(t *testing.T, c *Config, name string) Setting {
	t.Helper()
	for _, s := range c.Settings() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no setting %s", name)
	return Setting{}
}

func TestDefaultsLackOnlyTheOrigin(t *testing.T) {
	c := Defaults()
	problems := c.Validate()
	if len(problems) != 1 || problems[0].Setting != "origin" || !strings.HasPrefix(problems[0].Error(), "origin is not set: ") {
		t.Errorf("Validate() of the defaults = %v, want that the origin is not set", problems)
	}
	if c.MaxBytes != 256<<20 || c.LoadTimeout != 30*time.Second || c.PassTTL != 2*time.Minute || c.AccessLog != On {
		t.Errorf("Defaults() = %+v", c)
	}
}

func TestEverySettingHasANameAHelpAndADefaultThatPrintsBack(t *testing.T) {
	c := Defaults()
	seen, without := map[string]bool{}, map[string]bool{}
	for _, name := range []string{"origin", "tls.cert", "tls.key", "trusted-proxies", "admin.token-file", "admin.tls-cert", "admin.tls-key", "admin.client-ca",
		"node.name", "cluster.listen", "cluster.advertise", "cluster.peers", "cluster.dir", "cluster.zone", "cluster.etcd", "cluster.etcd-listen",
		"cluster.tls-cert", "cluster.tls-key", "cluster.tls-ca", "store.dir", "coordinator"} {
		without[name] = true
	}
	for _, name := range []string{"url", "sentinel-master", "password-file", "sentinel-password-file", "tls-ca", "tls-cert", "tls-key"} {
		without["redis."+name], without["store.redis."+name] = true, true
	}
	for _, s := range c.Settings() {
		if s.Name == "" || s.Help == "" || seen[s.Env] || s.Default == "" && !without[s.Name] {
			t.Errorf("setting %+v: want a name, a help, an environment name of its own and a default", s)
		}
		seen[s.Env] = true
		before := s.String()
		if before == "" {
			continue
		}
		if problem := s.Set(before); problem != nil || s.String() != before {
			t.Errorf("%s: Set(String()) = %v, then %q; want %q", s.Name, problem, s.String(), before)
		}
	}
}

func TestEnvironmentNames(t *testing.T) {
	c := Defaults()
	for name, want := range map[string]string{"max-bytes": "CORRAL_MAX_BYTES", "admin.listen": "CORRAL_ADMIN_LISTEN", "origin": "CORRAL_ORIGIN"} {
		if got := find(t, &c, name).Env; got != want {
			t.Errorf("%s: Env = %s, want %s", name, got, want)
		}
	}
}

func TestValuesAreReadExactlyOrRefusedWithARemedy(t *testing.T) {
	for _, test := range []struct {
		setting, text string
		want          string // String() afterwards; or, after !, part of the remedy
	}{
		{"max-bytes", "256MiB", "256MiB"},
		{"max-bytes", "1 GiB", "1GiB"},
		{"max-bytes", "64KB", "64000"},
		{"max-bytes", "64kB", "64000"},
		{"max-bytes", "1000", "1000"},
		{"max-bytes", "1024B", "1KiB"},
		{"max-bytes", "9223372036854775807", "9223372036854775807"},
		{"max-bytes", "9223372036854775808", "!smaller"},
		{"max-bytes", "8388608TiB", "!smaller"},
		{"max-bytes", "1.5GiB", "!256MiB"},
		{"max-bytes", "-1", "!256MiB"},
		{"max-bytes", "256MB ", "!256MiB"},
		{"max-bytes", "256XB", "!256MiB"},
		{"max-bytes", "", "!256MiB"},
		{"load-timeout", "1m30s", "1m30s"},
		{"load-timeout", "30", "!30s"},
		{"load-timeout", "soon", "!30s"},
		{"max-loads", "12", "12"},
		{"max-loads", "twelve", "!whole number"},
		{"max-loads", "1e3", "!whole number"},
		{"access-log", "on", "on"},
		{"access-log", "false", "off"},
		{"access-log", "yes", "!on or off"},
		{"targeted-fields", "A,B , C", "A, B, C"},
		{"targeted-fields", "", ""},
		{"targeted-fields", "A,,B", "!comma"},
		{"trusted-proxies", "10.0.0.7, ::ffff:10.0.0.8,10.1.2.3/16,2001:db8::1/32", "10.0.0.7, 10.0.0.8, 10.1.0.0/16, 2001:db8::/32"},
		{"trusted-proxies", "10.0.0.7/33", "!neither an address nor a network"},
		{"trusted-proxies", "::ffff:10.0.0.0/104", "!neither an address nor a network"},
		{"trusted-proxies", "fe80::1%eth0", "!neither an address nor a network"},
		{"trusted-proxies", "balancer", "!neither an address nor a network"},
		{"tls.min-version", "1.3", "1.3"},
		{"tls.min-version", "1.1", "!1.2 or 1.3"},
		{"listen", "off", "off"},
		{"log.format", "text", "text"},
		{"log.format", "xml", "!json or text"},
		{"log.level", "warn", "warn"},
		{"log.level", "WARN", "!debug, info"},
		{"listen", ":0", ":0"},
		{"listen", "[::1]:8080", "[::1]:8080"},
		{"listen", "8080", "!host:port"},
		{"listen", ":http", "!between 0 and 65535"},
		{"listen", ":65536", "!between 0 and 65535"},
		{"origin", "http://127.0.0.1:9000", "http://127.0.0.1:9000"},
		{"origin", "https://shop.example/", "https://shop.example"},
		{"origin", "http://[::1]:9000", "http://[::1]:9000"},
		{"origin", "127.0.0.1:9000", "!scheme"},
		{"origin", "localhost:9000", "!scheme"},
		{"origin", "shop.example", "!scheme"},
		{"origin", "//shop.example", "!http or https"},
		{"origin", "ftp://shop.example", "!http or https"},
		{"origin", "http://", "!host"},
		{"origin", "http://:9000", "!host"},
		{"origin", "http://shop.example:0", "!port"},
		{"origin", "http://shop.example:65536", "!port"},
		{"origin", "http://shop.example:web", "!URL"},
		{"origin", "http://joe:secret@shop.example", "!password"},
		{"origin", "http://shop.example?a=1", "!query"},
		{"origin", "http://shop.example/?", "!query"},
		{"origin", "http://shop.example/#top", "!fragment"},
		{"origin", "http://shop.example/#", "!fragment"},
		{"origin", "http://shop.example/api", "http://shop.example/api"},
	} {
		c := Config{}
		s := find(t, &c, test.setting)
		problem := s.Set(test.text)
		remedy, refused := strings.CutPrefix(test.want, "!")
		switch {
		case refused && (problem == nil || !strings.Contains(problem.Remedy, remedy) || problem.Setting != test.setting):
			t.Errorf("%s %q: problem %v, want a remedy that says %q", test.setting, test.text, problem, remedy)
		case !refused && (problem != nil || s.String() != test.want):
			t.Errorf("%s %q = %q, %v; want %q", test.setting, test.text, s, problem, test.want)
		}
	}
}

func TestAnAddressIsTrustedInWhicheverWayItIsWritten(t *testing.T) {
	c := Config{}
	set(t, &c, "trusted-proxies", "10.0.0.0/8, ::1")
	for text, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "::1": true, "::2": false} {
		if got := c.TrustedProxies.contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("contains(%s) = %v, want %v", text, got, want)
		}
	}
}

func TestCheckChangesNothing(t *testing.T) {
	c := Defaults()
	s := find(t, &c, "max-bytes")
	if problem := s.Check("1GiB"); problem != nil || c.MaxBytes != 256<<20 {
		t.Errorf("Check = %v, MaxBytes = %v; want nil and 256MiB", problem, c.MaxBytes)
	}
	if problem := s.Check("much"); problem == nil {
		t.Error(`Check("much") = nil`)
	}
}

func TestNoProblemShowsAPassword(t *testing.T) {
	c := Config{}
	for _, text := range []string{"http://joe:secret@shop.example", "joe:secret@shop.example", "http://joe:sec@ret@shop.example/a@b", "ftp://joe:secret@h:99999"} {
		problem := find(t, &c, "origin").Set(text)
		if problem == nil || strings.Contains(problem.Error(), "sec") {
			t.Errorf("origin %q: %v; want a problem without the password", text, problem)
		}
	}
}

func TestValidateNamesEachSettingThatIsOutOfRangeOrContradictsAnother(t *testing.T) {
	for _, test := range []struct {
		settings string // name=value, separated by spaces
		want     string // the settings that are wrong
	}{
		{"max-bytes=1", ""},
		{"max-bytes=0", "max-bytes"},
		{"max-bytes=1MiB max-object-bytes=1MiB", ""},
		{"max-bytes=1MiB max-object-bytes=1048577", "max-object-bytes"},
		{"max-loads=0", "max-loads"},
		{"max-loads=-1", "max-loads"},
		{"max-waiters=10", "max-waiters-per-key"},
		{"max-waiters=10 max-waiters-per-key=10", ""},
		{"load-timeout=0s", "load-timeout"},
		{"load-timeout=1ns", "origin.connect-timeout"},
		{"load-timeout=-1s", "load-timeout"},
		{"pass-ttl=0s shutdown-delay=0s", ""},
		{"pass-ttl=-1s shutdown-delay=-1s", "pass-ttl shutdown-delay"},
		{"shutdown-timeout=0s header-timeout=0s idle-timeout=0s", "header-timeout idle-timeout shutdown-timeout"},
		{"max-header-bytes=4KiB", ""},
		{"max-header-bytes=4095", "max-header-bytes"},
		{"max-header-bytes=1MiB", ""},
		{"max-header-bytes=1048577", "max-header-bytes"},
		{"origin.max-header-bytes=4KiB", ""},
		{"origin.max-header-bytes=4095", "origin.max-header-bytes"},
		{"origin.max-header-bytes=16MiB", ""},
		{"origin.max-header-bytes=17MiB", "origin.max-header-bytes"},
		{"max-key-bytes=0", "max-key-bytes"},
		{"tail-timeout=0s", "tail-timeout"},
		{"origin.max-conns=0", ""},
		{"origin.max-conns=-1", "origin.max-conns"},
		{"name=Edge-1.a_b", ""},
		{"name=1edge", "name"},
		{"name=my\tcache", "name"},
		{"name=", "name"},
		{"listen=127.0.0.1:9090", "admin.listen"},
		{"listen=127.0.0.1:0 admin.listen=127.0.0.1:0", ""},
		{"admin.listen=localhost:9090", ""},
		{"admin.listen=[::1]:9090", ""},
		{"admin.listen=127.1.2.3:9090", ""},
		{"admin.listen=[::ffff:127.0.0.1]:9090", ""},
		{"admin.listen=:9090", "admin.listen"},
		{"admin.listen=0.0.0.0:9090", "admin.listen"},
		{"admin.listen=10.0.0.1:9090", "admin.listen"},
		{"admin.listen=shop.example:9090", "admin.listen"},
		{"admin.listen=:9090 admin.insecure-public=on", ""},
		{"cluster.listen=a:7070 cluster.peers=a:7070,b:7070,c:7070 cluster.dir=/var/lib/corral cluster.insecure-plaintext=on", ""},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.insecure-plaintext=on", ""},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.zone=z node.name=a node.weight=0 cluster.etcd-prefix=/x/ cluster.insecure-plaintext=on", ""},
		{"cluster.listen=:7070 cluster.etcd=e:2379 cluster.insecure-plaintext=on", "cluster.listen"},
		{"cluster.listen=0.0.0.0:7070 cluster.etcd=e:2379 cluster.insecure-plaintext=on", "cluster.listen"},
		{"cluster.listen=:7070 cluster.advertise=a:7070 cluster.etcd=e:2379 cluster.insecure-plaintext=on", ""},
		{"cluster.listen=a:7070 cluster.advertise=a cluster.etcd=e:2379 cluster.insecure-plaintext=on", "cluster.advertise"},
		{"cluster.listen=a:7070 cluster.insecure-plaintext=on", "cluster.peers"},
		{"cluster.listen=a:7070 cluster.peers=a:7070 cluster.dir=d cluster.etcd=e:2379 cluster.insecure-plaintext=on", "cluster.etcd"},
		{"cluster.listen=a:7070 cluster.peers=a:7070 cluster.insecure-plaintext=on", "cluster.dir"},
		{"cluster.listen=a:7070 cluster.peers=a:7070,b,c:0 cluster.dir=d cluster.insecure-plaintext=on", "cluster.peers cluster.peers"},
		{"cluster.listen=a:7070 cluster.peers=a:7070,b:7070,a:7070 cluster.dir=d cluster.insecure-plaintext=on", "cluster.peers"},
		{"cluster.listen=a:7070 cluster.etcd=:2379 cluster.insecure-plaintext=on", "cluster.etcd"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.etcd-listen=a:1,2 cluster.insecure-plaintext=on", "cluster.etcd-listen"},
		{"cluster.listen=a:7070 cluster.peers=a:7070 cluster.dir=d cluster.etcd-listen=a:2380,2379 cluster.insecure-plaintext=on", ""},
		{"cluster.listen=a:7070 cluster.peers=a:7070 cluster.dir=d cluster.etcd-listen=a:2380 cluster.insecure-plaintext=on", "cluster.etcd-listen"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.etcd-prefix=/x cluster.insecure-plaintext=on", "cluster.etcd-prefix"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 node.name=a/b node.weight=-1 cluster.insecure-plaintext=on", "node.name node.weight"},
		{"cluster.listen=127.0.0.1:9090 cluster.etcd=e:2379 cluster.insecure-plaintext=on", "cluster.listen"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.tls-key=k", "cluster.tls-cert cluster.tls-ca"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.tls-cert=/nonexistent/c cluster.tls-key=/nonexistent/k cluster.tls-ca=/nonexistent/a", "cluster.tls-cert cluster.tls-key cluster.tls-ca"},
		{"cluster.listen=127.0.0.1:7070 cluster.peers=127.0.0.1:7070,localhost:7071,[::1]:7072 cluster.dir=d cluster.etcd-listen=127.1.1.1:1,2", ""},
		{"cluster.listen=10.0.0.1:7070 cluster.etcd=127.0.0.1:2379", "cluster.listen"},
		{"cluster.listen=127.0.0.1:7070 cluster.advertise=a:7070 cluster.etcd=127.0.0.1:2379,e:2379,f:2379", "cluster.advertise cluster.etcd cluster.etcd"},
		{"cluster.listen=127.0.0.1:7070 cluster.peers=127.0.0.1:7070,b:7070,c:7070 cluster.dir=d cluster.etcd-listen=10.0.0.1:1,2", "cluster.peers cluster.peers cluster.etcd-listen"},
		{"cluster.listen=a:7070 cluster.etcd=e:2379 cluster.insecure-plaintext=on cluster.tls-cert=/nonexistent/c cluster.tls-key=/nonexistent/k cluster.tls-ca=/nonexistent/a", "cluster.insecure-plaintext cluster.tls-cert cluster.tls-key cluster.tls-ca"},
		{"cluster.insecure-plaintext=on", "cluster.insecure-plaintext"},
		{"cluster.peers=a:7070 cluster.dir=d cluster.new=on", "cluster.peers cluster.dir cluster.new"},
		{"node.name=a", "node.name"},
		{"access-log=off access-log.buffer=0 max-conns=0 max-streams=0", "max-conns max-streams access-log.buffer"},
	} {
		c := valid(t)
		for _, pair := range strings.Split(test.settings, " ") {
			name, value, _ := strings.Cut(pair, "=")
			set(t, &c, name, value)
		}
		var got []string
		for _, problem := range c.Validate() {
			got = append(got, problem.Setting)
			if problem.Remedy == "" {
				t.Errorf("%s: no remedy in %v", test.settings, problem)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(strings.Fields(test.want)) {
			t.Errorf("%s: Validate() = %v, want %v", test.settings, got, strings.Fields(test.want))
		}
	}
}

func FuzzBytesPrintBack(f *testing.F) {
	f.Add("256MiB")
	f.Fuzz(func(t *testing.T, text string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b || b < 0 {
			t.Errorf("%q = %d, which prints as %s = %d, %v", text, b, b, again, err)
		}
	})
}

func FuzzOriginIsSafeOrRefused(f *testing.F) {
	f.Add("http://joe:secret@shop.example:80/?a#b")
	f.Fuzz(func(t *testing.T, text string) {
		var o Origin
		if o.UnmarshalText([]byte(text)) != nil {
			return
		}
		if o.User != nil || o.Hostname() == "" || o.RawQuery != "" || o.Fragment != "" {
			t.Errorf("%q = %#v", text, o.URL)
		}
	})
}
