package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Defaults of a Config.
const (
	DefaultDialTimeout  = time.Second
	DefaultWriteTimeout = 2 * time.Second
	DefaultCacheBytes   = 16 << 20

	keepAlive       = time.Second     // between probes of an idle connection
	topologyRefresh = 5 * time.Second // how late a missed failover of Sentinel is noticed
	bufferBytes     = 64 << 10        // read and write buffer of a connection, each
	name            = "corral"        // of the connections, in CLIENT LIST
)

// A Config says which Redis, and how to reach it. Either URL or Addresses is
// set; what is set beside URL counts before what the URL says.
type Config struct {
	// URL is redis://user:password@host:port/database, rediss:// with TLS, or
	// unix:///path. More servers are added as ?addr=host:port&addr=…, and
	// Sentinel's name of a master as ?master_set=name.
	URL string
	// Addresses are host:port of one server, of some nodes of a Cluster, or,
	// with SentinelMaster, of Sentinels. One address may be a Cluster's: the
	// server is asked.
	Addresses []string
	// SentinelMaster is the name under which Sentinel knows the master.
	SentinelMaster                     string
	SentinelUsername, SentinelPassword string

	Username, Password string
	DB                 int         // not with a Cluster, which has database 0 only
	TLS                *tls.Config // nil: none, unless the URL says rediss

	DialTimeout  time.Duration // of a connection with its handshake; 0: 1 s
	WriteTimeout time.Duration // how long a connection may be silent while something waits for it, before it is made anew; 0: 2 s
	// CacheBytes bounds what the server's tracked reads may hold on this side,
	// for each connection. 0: 16 MiB; negative: no client-side caching, for
	// servers and proxies without CLIENT TRACKING.
	CacheBytes int
	// Connections is how many connections to one server commands are spread
	// over, rounded up to a power of two, at most 256. 0: 1.
	Connections int
}

// Validate names the field that is wrong, and what to do.
func (c Config) Validate() error {
	_, err := c.options()
	return err
}

func (c Config) options() (rueidis.ClientOption, error) {
	o, err := c.addressed()
	if err != nil {
		return o, err
	}
	switch {
	case o.SelectDB < 0:
		return o, fmt.Errorf("redis: Config.DB is %d: it counts from 0", o.SelectDB)
	case o.SelectDB > 0 && len(o.InitAddress) > 1 && o.Sentinel.MasterSet == "":
		return o, fmt.Errorf("redis: Config.DB is %d with %d addresses: a Cluster has database 0 only; for Sentinel set SentinelMaster", o.SelectDB, len(o.InitAddress))
	case c.DialTimeout < 0:
		return o, fmt.Errorf("redis: Config.DialTimeout is %v: 0 is the default of %v", c.DialTimeout, DefaultDialTimeout)
	case c.WriteTimeout < 0:
		return o, fmt.Errorf("redis: Config.WriteTimeout is %v: 0 is the default of %v", c.WriteTimeout, DefaultWriteTimeout)
	case c.Connections < 0 || c.Connections > 1<<rueidis.MaxPipelineMultiplex:
		return o, fmt.Errorf("redis: Config.Connections is %d: at most %d, 0 is one", c.Connections, 1<<rueidis.MaxPipelineMultiplex)
	case o.AlwaysRESP2:
		return o, errors.New("redis: Config.URL says protocol=2: notifications need RESP3, take it out")
	case o.Username != "" && o.Password == "":
		return o, fmt.Errorf("redis: Config.Username is %q without a Password", o.Username)
	}
	c.tune(&o)
	return o, nil
}

// addressed takes what is said about where the server is and who asks.
func (c Config) addressed() (o rueidis.ClientOption, err error) {
	switch {
	case c.URL != "" && len(c.Addresses) > 0:
		return o, errors.New("redis: Config.URL and Config.Addresses are both set: take one out")
	case c.URL != "":
		if o, err = rueidis.ParseURL(c.URL); err != nil {
			return o, fmt.Errorf("redis: Config.URL is not redis://user:password@host:port/database: %w", withoutSecrets(err))
		}
	case len(c.Addresses) > 0:
		o.InitAddress = slices.Clone(c.Addresses)
	default:
		return o, errors.New("redis: Config has no server: set URL (redis://host:6379) or Addresses")
	}
	for _, address := range o.InitAddress {
		if o.DialCtxFn == nil { // not a unix socket
			if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
				return o, fmt.Errorf("redis: Config.Addresses has %q: write host:port", address)
			}
		}
	}
	if c.SentinelMaster != "" {
		o.Sentinel.MasterSet = c.SentinelMaster
	}
	o.Sentinel.Username, o.Sentinel.Password = c.SentinelUsername, c.SentinelPassword
	if c.Username != "" {
		o.Username = c.Username
	}
	if c.Password != "" {
		o.Password = c.Password
	}
	if c.DB != 0 {
		o.SelectDB = c.DB
	}
	if c.TLS != nil {
		o.TLSConfig = c.TLS
	}
	return o, nil
}

// withoutSecrets takes the URL out of an error of parsing it: it has a password.
func withoutSecrets(err error) error {
	if text := err.Error(); strings.HasPrefix(text, "parse ") {
		return errors.New(text[strings.LastIndex(text, ": ")+2:])
	}
	return err
}

// tune sets what is the same for everybody.
func (c Config) tune(o *rueidis.ClientOption) {
	if o.Dialer.Timeout = c.DialTimeout; c.DialTimeout == 0 {
		o.Dialer.Timeout = DefaultDialTimeout
	}
	o.Dialer.KeepAlive = keepAlive
	if o.ConnWriteTimeout = c.WriteTimeout; c.WriteTimeout == 0 {
		o.ConnWriteTimeout = DefaultWriteTimeout
	}
	o.Sentinel.Dialer, o.Sentinel.TLSConfig = o.Dialer, o.TLSConfig
	o.Sentinel.TopologyRefreshInterval = topologyRefresh
	switch {
	case c.CacheBytes < 0:
		o.DisableCache = true
	case c.CacheBytes == 0:
		o.CacheSizeEachConn = DefaultCacheBytes
	default:
		o.CacheSizeEachConn = c.CacheBytes
	}
	for o.PipelineMultiplex = 0; 1<<o.PipelineMultiplex < c.Connections; o.PipelineMultiplex++ {
	}
	if o.PipelineMultiplex == 0 {
		o.PipelineMultiplex = -1 // what rueidis calls one
	}
	o.ReadBufferEachConn, o.WriteBufferEachConn = bufferBytes, bufferBytes
	o.AlwaysPipelining = true // else a context that ends takes the connection with it
	o.RetryDelay = onceAgain
	if o.ClientName == "" {
		o.ClientName = name
	}
}

// onceAgain lets a read be repeated once and at once: the connection may have
// ended while it was idle. More is for whoever has the deadline.
func onceAgain(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts > 1 {
		return -1
	}
	return 0
}
