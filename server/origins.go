package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/upstream"
)

// A Pool is an entry of origins in the file: an upstream.Options in words. Its
// fields have the names of upstream.Options'.
type Pool struct {
	Name    string      // what it stands under
	Servers PoolServers `name:"servers" help:"URLs of the servers, each with its weight where that is not 1, as http://10.0.0.1:9000 weight=2. Required."`

	Policy    Policy  `name:"policy" default:"least-requests" placeholder:"least-requests|round-robin|hash" help:"How a server is chosen; hash keeps a host and target on one server."`
	HashBound float64 `name:"hash-bound" help:"With hash: a server that would have more than this many times its share of the requests is passed over." zero:"no bound"`

	TLS            PoolTLS `name:"tls"`
	HTTP2Cleartext Switch  `name:"http2-cleartext" default:"off" placeholder:"on|off" help:"On: speak HTTP/2 to servers of scheme http. With https, TLS negotiates it."`

	ConnectTimeout time.Duration `name:"connect-timeout" help:"In place of the setting origin.connect-timeout."`
	HeaderTimeout  time.Duration `name:"header-timeout" help:"How long a server may take until an answer's header, before another is asked." zero:"as long as load-timeout"`
	IdleTimeout    time.Duration `name:"idle-timeout" help:"In place of the setting origin.idle-timeout."`
	MaxHeaderBytes Bytes         `name:"max-header-bytes" help:"In place of the setting origin.max-header-bytes."`

	MaxConns     int           `name:"max-conns" default:"256" help:"Connections to each server." zero:"no limit"`
	MaxRequests  int           `name:"max-requests" default:"512" help:"Requests of this process at each server at once, to the end of their answers." zero:"no limit"`
	Rate         float64       `name:"rate" help:"Requests to all servers together that begin in a second; in a cluster, from all its nodes." zero:"no limit"`
	Burst        int           `name:"burst" help:"How many of them may begin at once after a pause; in a cluster at least one of each node. None: one second's worth."`
	MaxQueued    int           `name:"max-queued" default:"1024" help:"Requests that wait because no server has room. Over it: 503." zero:"none waits"`
	QueueTimeout time.Duration `name:"queue-timeout" default:"5s" help:"How long one of them waits. Over it: 503."`

	Health      PoolHealth    `name:"health"`
	EjectAfter  int           `name:"eject-after" default:"5" help:"Requests in sequence that a server must leave without an answer to be left alone for eject-for." zero:"never"`
	EjectFor    time.Duration `name:"eject-for" default:"10s" help:"How long that is, at first; then one request tries it, and if that fails too the time is doubled."`
	MaxEjectFor time.Duration `name:"max-eject-for" default:"5m" help:"The longest that it comes to."`
	MinHealthy  float64       `name:"min-healthy" help:"Part of the servers, between 0 and 1, that must be healthy; below it health is ignored." zero:"health is ignored when no server is healthy"`

	Retries       int     `name:"retries" default:"1" help:"How often a request without an answer is sent again, where that does no harm: to another server if there is one." zero:"not"`
	RetryBudget   float64 `name:"retry-budget" default:"0.1" help:"Part of the requests that may be such repetitions, in any ten seconds; ten always may."`
	RetryStatuses Switch  `name:"retry-statuses" default:"off" placeholder:"on|off" help:"On: idempotent requests answered with 502, 503 or 504 are sent again too."`
}

// PoolTLS says how servers of scheme https prove who they are, and to whom.
type PoolTLS struct {
	CA         string `name:"ca" placeholder:"FILE" help:"PEM file of the authorities that vouch for the servers. None: those of the system."`
	ServerName string `name:"server-name" help:"Name that the servers' certificates are for. None: the host of the URL."`
	Cert       string `name:"cert" placeholder:"FILE" help:"PEM file of the certificate that Corral shows to the servers."`
	Key        string `name:"key" placeholder:"FILE" help:"PEM file of its key."`
}

// PoolHealth is how servers are asked how they are.
type PoolHealth struct {
	Path           string        `name:"path" help:"What each server is asked for by GET. None: servers are not asked."`
	Host           string        `name:"host" help:"Host field of what is asked. None: the server's."`
	Interval       time.Duration `name:"interval" default:"10s" help:"From one question to the next."`
	Jitter         float64       `name:"jitter" default:"0.1" help:"Random part of the interval, so that the servers are not all asked at once." zero:"none"`
	Timeout        time.Duration `name:"timeout" default:"5s" help:"How long an answer may take."`
	MinStatus      int           `name:"min-status" default:"200" help:"Least status that says that the server is well."`
	MaxStatus      int           `name:"max-status" default:"399" help:"Greatest status that says so."`
	UnhealthyAfter int           `name:"unhealthy-after" default:"3" help:"Bad answers in sequence that it takes to believe them."`
	HealthyAfter   int           `name:"healthy-after" default:"2" help:"Good answers in sequence that it takes to believe them."`
}

// NewPool is a pool in which every field has its default.
func NewPool(name string) Pool {
	p := Pool{Name: name}
	setDefaults(p.Settings())
	return p
}

// InForce are the settings that have an effect: without a path to ask for,
// those of health have none.
func (p *Pool) InForce() []Setting {
	return slices.DeleteFunc(p.Settings(), func(s Setting) bool {
		return p.Health.Path == "" && strings.HasPrefix(s.Name, "health.")
	})
}

// A Policy is how a server of a pool is chosen.
type Policy string

var policies = map[Policy]upstream.Policy{
	"least-requests": upstream.LeastRequests, "round-robin": upstream.RoundRobin, "hash": upstream.Hash,
}

func (p *Policy) UnmarshalText(text []byte) error {
	if _, known := policies[Policy(text)]; !known {
		return errors.New("write least-requests, round-robin or hash")
	}
	*p = Policy(text)
	return nil
}

func poolName(name string) string { return "origins." + name }

// poolOptions writes a pool as upstream has it, and says what is wrong with it
// in the words of the file. It reads the files that the pool names.
func (c *Config) poolOptions(p *Pool, log *slog.Logger) (upstream.Options, []*Problem) {
	options := upstream.Options{
		Name: p.Name, Policy: policies[p.Policy], HashBound: p.HashBound, HTTP2Cleartext: p.HTTP2Cleartext == On,
		ConnectTimeout: cmp.Or(p.ConnectTimeout, c.OriginConnectTimeout), HeaderTimeout: p.HeaderTimeout,
		IdleTimeout: cmp.Or(p.IdleTimeout, c.OriginIdleTimeout), MaxHeaderBytes: int64(cmp.Or(p.MaxHeaderBytes, c.OriginMaxHeaderBytes)),
		MaxConns: cmp.Or(p.MaxConns, math.MaxInt32), MaxRequests: orNone(p.MaxRequests), Rate: p.Rate, Burst: p.Burst,
		MaxQueued: orNone(p.MaxQueued), QueueTimeout: p.QueueTimeout,
		EjectAfter: orNone(p.EjectAfter), EjectFor: p.EjectFor, MaxEjectFor: p.MaxEjectFor, MinHealthy: p.MinHealthy,
		Retries: orNone(p.Retries), RetryBudget: p.RetryBudget, RetryStatuses: p.RetryStatuses == On, Logger: log,
	}
	if h := p.Health; h.Path != "" {
		options.Health = upstream.Health{
			Path: h.Path, Host: h.Host, Interval: h.Interval, Jitter: orNone(h.Jitter), Timeout: h.Timeout,
			MinStatus: h.MinStatus, MaxStatus: h.MaxStatus, UnhealthyAfter: h.UnhealthyAfter, HealthyAfter: h.HealthyAfter,
		}
	}
	for _, s := range p.Servers {
		options.Servers = append(options.Servers, upstream.Server{URL: s.URL, Weight: s.Weight})
	}
	var problems []*Problem
	options.TLS, problems = c.poolTLS(p)
	for _, err := range leaves(options.Validate()) {
		var wrong *upstream.OptionError
		if errors.As(err, &wrong) {
			field := partOfServer.ReplaceAllString(inFile[Pool](wrong.Field), "]")
			problems = append(problems, c.problem(poolName(p.Name)+"."+field, wrong.Value, inFile[Pool](wrong.Remedy)))
		}
	}
	return options, problems
}

// partOfServer is URL and Weight, which stand together in the file.
var partOfServer = regexp.MustCompile(`\]\.\w+$`)

func (c *Config) poolTLS(p *Pool) (*tls.Config, []*Problem) {
	config, name := &tls.Config{ServerName: p.TLS.ServerName}, poolName(p.Name)+".tls."
	var problems []*Problem
	if p.TLS.CA != "" {
		pool, remedy := readAuthorities(p.TLS.CA)
		if remedy != "" {
			problems = append(problems, c.problem(name+"ca", p.TLS.CA, remedy))
		}
		config.RootCAs = pool
	}
	switch {
	case p.TLS.Cert == "" && p.TLS.Key == "":
	case p.TLS.Cert == "" || p.TLS.Key == "":
		problems = append(problems, c.problem(name+"cert", p.TLS.Cert, "set both cert and key, or neither"))
	default:
		pair, err := tls.LoadX509KeyPair(p.TLS.Cert, p.TLS.Key)
		if err != nil {
			problems = append(problems, c.problem(name+"cert", p.TLS.Cert, pairRemedy(err)))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, problems
}

// readAuthorities reads a PEM file of certificates, or says what to do about it.
func readAuthorities(path string) (pool *x509.CertPool, remedy string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Sprintf("%v: give the path of a PEM file that this user may read", err)
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, "there is no certificate in it: give a PEM file of certificates"
	}
	return pool, ""
}

// orNone writes 0 as those options do for which 0 stands for the default.
func orNone[T int | float64 | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}
