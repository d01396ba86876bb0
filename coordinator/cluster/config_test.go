package cluster

import (
	"net"
	"strings"
	"testing"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

func TestASettingThatCannotBeIsNamedWithItsValueAndARemedy(t *testing.T) {
	long := strings.Repeat("n", 129)
	for _, row := range []struct {
		what   string
		change func(*Config)
		want   []string
	}{
		{"a name with a slash", func(c *Config) { c.Name = "a/b" }, []string{"Config.Name", `"a/b"`, "leave out"}},
		{"a name of 129 bytes", func(c *Config) { c.Name = long }, []string{"Config.Name", "129", "at most 128"}},
		{"a name that is not UTF-8", func(c *Config) { c.Name = "a\xff" }, []string{"Config.Name", `\xff`, "UTF-8"}},
		{"a zone with a bell", func(c *Config) { c.Zone = "z\a" }, []string{"Config.Zone", `\a`, "plain"}},
		{"no address", func(c *Config) { c.Listen = "" }, []string{"Config.Listen is empty", "host:port"}},
		{"an address without a port", func(c *Config) { c.Listen = "10.0.0.1" }, []string{"Config.Listen", `"10.0.0.1"`, "host:port"}},
		{"an address without a host", func(c *Config) { c.Listen = ":7070" }, []string{"Config.Listen", `":7070"`, "Config.Advertise"}},
		{"an address of all hosts", func(c *Config) { c.Listen = "[::]:7070" }, []string{"Config.Listen", `"[::]:7070"`, "Config.Advertise"}},
		{"an advertised address without a port", func(c *Config) { c.Advertise = "a" }, []string{"Config.Advertise", `"a"`, "host:port"}},
		{"neither peers nor etcd", func(c *Config) { c.Etcd = nil }, []string{"Config.Peers and Config.Etcd are both empty", "set"}},
		{"peers and etcd", func(c *Config) { c.Peers = []string{"a:1"} }, []string{"Config.Peers and Config.Etcd are both set"}},
		{"peers without a directory", func(c *Config) { c.Etcd, c.Peers = nil, []string{"a:1"} }, []string{"Config.Dir is empty"}},
		{"a peer without a port", func(c *Config) { c.Etcd, c.Peers, c.Dir = nil, []string{"a:1", "b"}, "/d" }, []string{"Config.Peers", `"b"`, "host:port"}},
		{"an empty peer", func(c *Config) { c.Etcd, c.Peers, c.Dir = nil, []string{"a:1", ""}, "/d" }, []string{"Config.Peers", `""`, "host:port"}},
		{"an endpoint that is a URL", func(c *Config) { c.Etcd = []string{"http://a:2379"} }, []string{"Config.Etcd", `"http://a:2379"`, "host:port"}},
		{"ports for an etcd that is elsewhere", func(c *Config) { c.EtcdListen = "a:1,2" }, []string{"Config.EtcdListen", `"a:1,2"`, "Config.Etcd"}},
		{"a prefix without its slash", func(c *Config) { c.EtcdPrefix = "/shop" }, []string{"Config.EtcdPrefix", `"/shop"`, "slash"}},
		{"fewer partitions than one", func(c *Config) { c.Partitions = -1 }, []string{"Config.Partitions is -1", "between 1 and 32768"}},
		{"too many partitions", func(c *Config) { c.Partitions = 1<<15 + 1 }, []string{"Config.Partitions is 32769", "between 1 and 32768"}},
		{"a negative weight", func(c *Config) { c.Weight = -1 }, []string{"Config.Weight is -1", "between 1 and 1048576"}},
		{"too much weight", func(c *Config) { c.Weight = 1<<20 + 1 }, []string{"Config.Weight is 1048577", "between 1 and 1048576"}},
		{"a client with a weight", func(c *Config) { c.Client, c.Weight = true, 2 }, []string{"Config.Weight is 2", "a client has none"}},
		{"an address of others in plain text", func(c *Config) { c.Listen = "10.0.0.1:7070" }, []string{"Config.Listen", `"10.0.0.1:7070"`, "not loopback", "set Config.TLS", "Config.InsecurePlaintext"}},
		{"an advertised one", func(c *Config) { c.Advertise = "a:7070" }, []string{"Config.Advertise", `"a:7070"`, "not loopback"}},
		{"an endpoint of others", func(c *Config) { c.Etcd = []string{"127.0.0.1:1", "e:2379"} }, []string{"Config.Etcd", `"e:2379"`, "not loopback"}},
		{"a peer elsewhere", func(c *Config) { c.Etcd, c.Peers, c.Dir = nil, []string{"127.0.0.1:1", "b:1"}, "/d" }, []string{"Config.Peers", `"b:1"`, "not loopback"}},
		{"an etcd for others", func(c *Config) {
			c.Etcd, c.Peers, c.Dir, c.EtcdListen = nil, []string{"127.0.0.1:1"}, "/d", "10.0.0.1:1,2"
		}, []string{"Config.EtcdListen", `"10.0.0.1:1,2"`, "not loopback"}},
		{"a certificate without its key", func(c *Config) { c.TLS = TLSFiles{Cert: "c", CA: "a"} }, []string{"Config.TLS", "{Cert:c Key: CA:a}", "set all"}},
		{"TLS and plain text", func(c *Config) { c.TLS, c.InsecurePlaintext = TLSFiles{"c", "k", "a"}, true }, []string{"Config.TLS and Config.InsecurePlaintext", "leave the latter out"}},
		{"a negative limit", func(c *Config) { c.Limits.Parked = -1 }, []string{"Config.Limits.Parked is -1", "0 for the default"}},
	} {
		c := Config{Name: "a", Listen: "127.0.0.1:7070", Etcd: []string{"127.0.0.1:2379"}}
		row.change(&c)
		_, err := c.withDefaults()
		if err == nil {
			t.Errorf("%s: no error", row.what)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want it to say %s", row.what, err, want)
			}
		}
	}
}

func TestSettingsAtTheirBoundsAreTaken(t *testing.T) {
	for _, c := range []Config{
		{Name: strings.Repeat("n", 128), Listen: "127.0.0.1:0", Etcd: []string{"e:2379"}, InsecurePlaintext: true},
		{Name: "a", Listen: ":7070", Advertise: "10.0.0.1:7070", Etcd: []string{"e:2379"}, InsecurePlaintext: true, Partitions: 1, Weight: 1 << 20},
		{Name: "a", Listen: "a:1", Peers: []string{"a:1"}, InsecurePlaintext: true, Dir: "/d", EtcdListen: "a:2,3", Partitions: 1 << 15, Client: true},
		{Name: "a", Listen: "a:1", Etcd: []string{"e:2379"}, EtcdPrefix: "/shop/", TLS: TLSFiles{"c", "k", "a"}, Limits: core.Limits{Asks: 1}},
	} {
		if _, err := c.withDefaults(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAListenerIsClosedWhereJoinFails(t *testing.T) {
	occupied := t.TempDir()
	for what, change := range map[string]func(*Config){
		"a setting":   func(c *Config) { c.Partitions = -1 },
		"a directory": func(c *Config) { c.Dir = occupied + "/\x00" },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Name: "a", Listener: l, Etcd: []string{"127.0.0.1:1"}, Log: logFor(t, "node")}
		change(&c)
		if n, err := Join(t.Context(), c); err == nil {
			n.Close()
			t.Errorf("%s: Join succeeded", what)
		}
		if _, err := l.Accept(); err == nil {
			t.Errorf("%s: the listener is open", what)
		}
	}
}
