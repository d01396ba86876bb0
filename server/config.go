package server

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// A Config holds every setting of the daemon. A field's tags are the only
// place of the setting's name, default and help: flags (--name), environment
// (CORRAL_NAME) and file (name: value) are made of them, and Defaults fills a
// Config from them.
//
// A number or duration of 0 is a mistake unless its help gives 0 a meaning.
type Config struct {
	Name   string   `name:"name" default:"corral" placeholder:"NAME" help:"Name of this cache in Cache-Status, metrics and logs." group:"Cache"`
	Listen Address  `name:"listen" default:":8080" help:"Address that clients connect to, by HTTP/1.1 or HTTP/2 without TLS. Port 0 takes a free one." group:"Front"`
	Admin  Address  `name:"admin.listen" default:"127.0.0.1:9090" help:"Address of /metrics, /healthz, /readyz and /debug/pprof. Loopback, unless admin.insecure-public is on." group:"Admin"`
	Origin Origin   `name:"origin" placeholder:"URL" help:"Where the answers come from that the cache does not have, as http://127.0.0.1:9000. Required." group:"Origin"`
	Log    Format   `name:"log.format" default:"json" placeholder:"json|text" help:"Form of both logs." group:"Logs"`
	Level  LogLevel `name:"log.level" default:"info" placeholder:"debug|info|warn|error" help:"Least severe messages that the log on standard error has." group:"Logs"`

	MaxBytes       Bytes `name:"max-bytes" default:"256MiB" help:"Memory for what is cached: keys, responses, overhead, and bodies still arriving. An eighth of it is left to the collector, which is set so that the process needs little more." group:"Cache"`
	MaxObjectBytes Bytes `name:"max-object-bytes" default:"0" help:"Largest response that is kept. 0: whatever fits into max-bytes." group:"Cache"`
	MaxKeyBytes    Bytes `name:"max-key-bytes" default:"8KiB" help:"Longest scheme, host, path and query of a request. Over it: 414." group:"Cache"`
	MaxLoads       int   `name:"max-loads" default:"256" help:"Requests to the origin on the cache's behalf that run at once; more wait their turn." group:"Cache"`
	MaxWaiters     int   `name:"max-waiters" default:"100000" help:"Requests that wait for such a request. Over it: 503." group:"Cache"`
	MaxKeyWaiters  int   `name:"max-waiters-per-key" default:"10000" help:"Of these, for one and the same response." group:"Cache"`

	LoadTimeout time.Duration `name:"load-timeout" default:"30s" help:"How long the origin may take until a response's header, before those who wait get 504 and the key is free again." group:"Cache"`
	TailTimeout time.Duration `name:"tail-timeout" default:"30s" help:"How long a response's body may make no progress, before it is broken off." group:"Cache"`
	PassTTL     time.Duration `name:"pass-ttl" default:"120s" help:"How long nobody waits for a shared answer under a key whose last answer could not be shared. 0: not at all." group:"Cache"`

	IgnoreCookies Switch `name:"ignore-cookies" default:"off" placeholder:"on|off" help:"Take Cookie out of GET and HEAD requests, for an origin whose pages do not depend on it. Otherwise a request with a cookie goes to the origin alone unless the answer is in the cache." group:"Cache"`

	OriginMaxConns       int           `name:"origin.max-conns" default:"512" help:"Connections to the origin, those for answers that are not shared included; more requests wait. 0: no limit." group:"Origin"`
	OriginConnectTimeout time.Duration `name:"origin.connect-timeout" default:"5s" help:"How long it may take to connect to the origin." group:"Origin"`
	OriginIdleTimeout    time.Duration `name:"origin.idle-timeout" default:"90s" help:"How long an unused connection to the origin is kept." group:"Origin"`

	OriginMaxHeaderBytes Bytes `name:"origin.max-header-bytes" default:"256KiB" help:"Largest header of a response from the origin. Over it: 502." group:"Origin"`

	MaxConns       int           `name:"max-conns" default:"50000" help:"Connections of clients; more wait to be accepted." group:"Front"`
	MaxStreams     int           `name:"max-streams" default:"250" help:"Requests that run at once on one HTTP/2 connection." group:"Front"`
	HeaderTimeout  time.Duration `name:"header-timeout" default:"10s" help:"How long a client may take to send a request's header." group:"Front"`
	IdleTimeout    time.Duration `name:"idle-timeout" default:"120s" help:"How long a client's unused connection is kept." group:"Front"`
	MaxHeaderBytes Bytes         `name:"max-header-bytes" default:"64KiB" help:"Largest header of a request. Over it: 431." group:"Front"`

	AdminPublic Switch `name:"admin.insecure-public" default:"off" placeholder:"on|off" help:"Allow admin.listen on an address that others can reach: whoever can, may read the metrics. There is no /debug/pprof then." group:"Admin"`

	AccessLog       Switch `name:"access-log" default:"on" placeholder:"on|off" help:"Write a line for each request to standard output." group:"Logs"`
	AccessLogBuffer int    `name:"access-log.buffer" default:"8192" help:"Lines that wait for standard output; more are dropped and counted, so that a slow reader never slows a request." group:"Logs"`

	ShutdownDelay   time.Duration `name:"shutdown-delay" default:"0s" help:"How long requests are still accepted after a signal to stop, while /readyz answers 503, so that a load balancer can take notice." group:"Stop"`
	ShutdownTimeout time.Duration `name:"shutdown-timeout" default:"30s" help:"How long running requests may take to finish after that. Those that do not are cut off." group:"Stop"`
}

// Validate reports what is wrong with settings that can each be read: what is
// missing, out of its range, or contradicts another.
func (c *Config) Validate() []*Problem {
	var problems []*Problem
	settings := map[string]Setting{}
	for _, s := range c.Settings() {
		settings[s.Name] = s
	}
	wrong := func(bad bool, name, remedy string, args ...any) {
		if bad {
			problems = append(problems, &Problem{Setting: name, Value: settings[name].String(), Remedy: fmt.Sprintf(remedy, args...)})
		}
	}
	above := func(bad bool, name, limit string) {
		if bad {
			problems = append(problems, &Problem{Setting: name, Value: settings[name].String(), Against: limit,
				Remedy: fmt.Sprintf("it must not be above %s, which is %s", limit, settings[limit])})
		}
	}

	wrong(c.Origin.URL == nil, "origin", "set the URL that answers are fetched from, as http://127.0.0.1:9000")
	wrong(!validName(c.Name), "name", "use letters, digits and any of - _ . only, and begin with a letter")
	for _, name := range []string{"load-timeout", "tail-timeout", "origin.connect-timeout", "origin.idle-timeout", "header-timeout", "idle-timeout", "shutdown-timeout"} {
		wrong(settings[name].value.Int() <= 0, name, "set a time above 0, as %s", settings[name].Default)
	}
	for _, name := range []string{"pass-ttl", "shutdown-delay"} {
		wrong(settings[name].value.Int() < 0, name, "set a time of 0 or more")
	}
	for _, name := range []string{"max-bytes", "max-key-bytes", "max-loads", "max-waiters", "max-waiters-per-key", "max-conns", "max-streams", "access-log.buffer"} {
		wrong(settings[name].value.Int() <= 0, name, "set a number above 0, as %s", settings[name].Default)
	}
	wrong(c.MaxHeaderBytes < minHeaderBytes, "max-header-bytes", "set %s or more: browsers send that much", minHeaderBytes)
	wrong(c.MaxHeaderBytes > maxHeaderBytes, "max-header-bytes", "set %s or less", maxHeaderBytes)
	wrong(c.OriginMaxHeaderBytes < minHeaderBytes || c.OriginMaxHeaderBytes > maxOriginHeaderBytes, "origin.max-header-bytes", "set between %s and %s", minHeaderBytes, maxOriginHeaderBytes)
	wrong(c.OriginMaxConns < 0, "origin.max-conns", "set a number above 0, or 0 for no limit")
	above(c.MaxBytes > 0 && c.MaxObjectBytes > c.MaxBytes, "max-object-bytes", "max-bytes")
	above(c.MaxWaiters > 0 && c.MaxKeyWaiters > c.MaxWaiters, "max-waiters-per-key", "max-waiters")
	above(c.LoadTimeout > 0 && c.OriginConnectTimeout > c.LoadTimeout, "origin.connect-timeout", "load-timeout")
	wrong(c.Admin == c.Listen && !c.Admin.freePort(), "admin.listen", "it is the same address as listen; the two need one each")
	wrong(!c.Admin.loopback() && c.AdminPublic != On, "admin.listen",
		"others can reach this address; use a loopback one, as 127.0.0.1:9090, or set admin.insecure-public to on if whoever reaches it may read the metrics")
	return problems
}

// The range of max-header-bytes, and the end of that of origin.max-header-bytes. Below it ordinary browsers are refused; above
// it a few thousand connections could fill the memory before any limit of the
// cache applies.
const (
	minHeaderBytes Bytes = 4 << 10
	maxHeaderBytes Bytes = 1 << 20

	maxOriginHeaderBytes Bytes = 16 << 20
)

// validName reports whether a name can stand in Cache-Status unquoted (a Token
// of RFC 9651, section 3.3.4) and in a label of a metric.
func validName(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-_.", c)) {
			return false
		}
	}
	return name != ""
}

// freePort reports whether the system chooses the port.
func (a Address) freePort() bool { return strings.HasSuffix(string(a), ":0") }

// loopback reports whether only this machine can reach the address. A host
// name other than localhost counts as public: what it resolves to may change.
func (a Address) loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
