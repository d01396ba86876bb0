package redisconn

import (
	"strings"
	"testing"
	"time"
)

func TestAConfigurationThatCannotWorkNamesItsField(t *testing.T) {
	rows := []struct {
		name   string
		config Config
		says   string // "" for a configuration that is right
	}{
		{"nothing", Config{}, "set URL"},
		{"both", Config{URL: "redis://a", Addresses: []string{"a:1"}}, "take one out"},
		{"a URL", Config{URL: "redis://user:password@host:6379/2"}, ""},
		{"a URL without a port", Config{URL: "redis://host"}, ""},
		{"a URL with TLS", Config{URL: "rediss://host"}, ""},
		{"several hosts", Config{URL: "redis://host:1?addr=other:2"}, ""},
		{"a socket", Config{URL: "unix:///run/redis.sock"}, ""},
		{"Sentinel in a URL", Config{URL: "redis://host:26379/1?master_set=mymaster&addr=other:26379"}, ""},
		{"another scheme", Config{URL: "http://host"}, "Config.URL"},
		{"a port that is none", Config{URL: "redis://:secret@host:port"}, "Config.URL"},
		{"RESP2", Config{URL: "redis://host?protocol=2"}, "protocol=2"},
		{"an address without a port", Config{Addresses: []string{"host"}}, `"host"`},
		{"an address", Config{Addresses: []string{"host:6379"}}, ""},
		{"a database below 0", Config{Addresses: []string{"a:1"}, DB: -1}, "Config.DB"},
		{"a database of a Cluster", Config{Addresses: []string{"a:1", "b:1"}, DB: 1}, "SentinelMaster"},
		{"a database behind Sentinels", Config{Addresses: []string{"a:1", "b:1"}, DB: 1, SentinelMaster: "m"}, ""},
		{"a user without a password", Config{Addresses: []string{"a:1"}, Username: "u"}, "Password"},
		{"a negative timeout", Config{Addresses: []string{"a:1"}, DialTimeout: -1}, "DialTimeout"},
		{"a negative write timeout", Config{Addresses: []string{"a:1"}, WriteTimeout: -1}, "WriteTimeout"},
		{"connections at the limit", Config{Addresses: []string{"a:1"}, Connections: 256}, ""},
		{"above it", Config{Addresses: []string{"a:1"}, Connections: 257}, "Connections"},
	}
	for _, row := range rows {
		err := row.config.Validate()
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the password: %v", row.name, err)
		}
	}
}

func TestWhatIsSetBesideAURLCounts(t *testing.T) {
	o, err := Config{URL: "redis://u:p@host/1", Username: "user", Password: "word", DB: 2, SentinelMaster: "m", CacheBytes: -1}.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Username != "user" || o.Password != "word" || o.SelectDB != 2 || o.Sentinel.MasterSet != "m" || !o.DisableCache {
		t.Errorf("got %+v", o)
	}
	if o.Dialer.Timeout != time.Second || o.ConnWriteTimeout != 2*time.Second || !o.AlwaysPipelining {
		t.Errorf("defaults: %v, %v, %v", o.Dialer.Timeout, o.ConnWriteTimeout, o.AlwaysPipelining)
	}
}

func TestConnectionsAreAPowerOfTwo(t *testing.T) {
	for connections, want := range map[int]int{0: -1, 1: -1, 2: 1, 3: 2, 4: 2, 5: 3, 256: 8} {
		o, err := Config{Addresses: []string{"a:1"}, Connections: connections}.options()
		if err != nil || o.PipelineMultiplex != want {
			t.Errorf("%d: 2^%d, %v; want 2^%d", connections, o.PipelineMultiplex, err, want)
		}
	}
}
