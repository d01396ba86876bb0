package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strings"
	"time"
)

// A Policy chooses among servers that are healthy and have room.
type Policy int

const (
	// LeastRequests chooses the server with the fewest requests for its weight,
	// and takes turns among equals. The default.
	LeastRequests Policy = iota
	// RoundRobin takes turns by weight.
	RoundRobin
	// Hash keeps the requests for one host and target on one server, as long as
	// it is healthy and has room (rendezvous hashing): only the keys of a server
	// that leaves move. All pools with the same URLs and weights agree.
	Hash
)

// Server is one server of a pool.
type Server struct {
	// URL is where it is: scheme (http or https) and host. A path is put before
	// that of each request.
	URL *url.URL
	// Weight is its part of the requests, relative to the others'. Default 1.
	Weight int
}

// Options configures a Pool. Servers must be set; the zero value of every other
// field is the default that stands on it. What is negative and says nothing of
// it is an error.
type Options struct {
	// Name is the pool's in errors, logs and metrics. Default "origin".
	Name string
	// Servers are those that requests go to; no two with one URL.
	Servers []Server
	// Policy chooses among them. Default LeastRequests.
	Policy Policy
	// HashBound is for Hash: a server that would have more than HashBound times
	// its share of the requests in flight is passed over, so that one hot key
	// does not drown it. 1.25 is usual; default 0: no bound.
	HashBound float64

	// TLS is used with servers of scheme https: RootCAs, ServerName (default:
	// the host of the server's URL), Certificates. It is copied.
	TLS *tls.Config
	// HTTP2Cleartext has servers of scheme http spoken to in HTTP/2 from the
	// first byte (RFC 9113, section 3.3). With https, TLS negotiates.
	HTTP2Cleartext bool
	// DialContext makes connections, and is a net.Dialer's by default.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// ConnectTimeout bounds the making of a connection, and then again its TLS
	// handshake. Default 10 s.
	ConnectTimeout time.Duration
	// HeaderTimeout is how long a server may take from the end of the request to
	// the end of the answer's header; after it, it has failed and another may be
	// asked. Over HTTP/2 too. Default 0: as long as the request's context.
	HeaderTimeout time.Duration
	// TimeoutCauses are errors with which a caller ends the context of a request
	// (context.Cause) because the server took too long: the server has failed
	// then. context.DeadlineExceeded is always one.
	TimeoutCauses []error
	// IdleTimeout is how long a connection is kept unused. Default 90 s.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of an answer. Default 256 KiB.
	MaxHeaderBytes int64

	// MaxConns bounds the connections to each server. Default 256.
	MaxConns int
	// MaxRequests bounds the requests at each server, to the end of the answers'
	// bodies. Default 512; negative: no limit.
	MaxRequests int
	// Rate bounds the requests to all servers together, a second, and Burst how
	// many may come at once after a pause. Default of Rate: no limit; of Burst:
	// what Rate gives in a second, at least 1.
	Rate  float64
	Burst int
	// Share is the part, in (0, 1], of Rate and Burst that falls to this process
	// where several send to the same servers; of Burst it is at least 1. It is
	// asked at each request, and every tenth of a second while some wait, from
	// any goroutine. A change adds nothing to what may be sent at once. All
	// other bounds are of this process alone. Default: all of it.
	Share func() float64
	// MaxQueued bounds the requests that wait because every server has
	// MaxRequests or because of Rate, QueueTimeout how long one does. Defaults
	// 1024 and 5 s; MaxQueued negative: none waits. Over them: ErrBusy.
	MaxQueued    int
	QueueTimeout time.Duration

	// Health asks servers how they are. Default: not.
	Health Health
	// EjectAfter is how many requests in sequence must fail at a server, without
	// an answer, for it to be left alone for EjectFor. Then one request is let
	// through. If it fails too the time is doubled, up to MaxEjectFor; if not,
	// the server is back, and has the doubling forgotten after MaxEjectFor
	// without another ejection. Defaults 5, 10 s, 5 min; EjectAfter negative:
	// never.
	EjectAfter  int
	EjectFor    time.Duration
	MaxEjectFor time.Duration
	// MinHealthy is the part of the servers, by number, that must be healthy.
	// Below it health is ignored: the few that are left would be drowned by the
	// requests of all. Up to 1; default 0: health is ignored when no server is
	// healthy. Envoy calls it the panic threshold and has 0.5.
	MinHealthy float64

	// Retries is how often a request may be sent again, where that is allowed at
	// all: to another server if there is one that it has not been at. It does
	// not wait for it. Default 1; negative: not.
	Retries int
	// RetryBudget bounds retries to a part of the requests, in any ten seconds;
	// ten are always allowed. Up to 1; default 0.1.
	RetryBudget float64
	// RetryStatuses has an idempotent request that is answered with 502, 503 or
	// 504 sent again, if another server has room for it and Retry-After does not
	// ask for patience.
	RetryStatuses bool

	// Logger receives changes of servers' health: at level Warn for the worse,
	// Info for the better. Default: none.
	Logger *slog.Logger
}

// Health has each server asked for a path, over connections of its own. A server
// begins as healthy.
type Health struct {
	// Path is what is asked for with GET, below the server's own path. Without
	// one, servers are not asked.
	Path string
	// Host is the Host field of what is asked. Default: the server's.
	Host string
	// Interval lies between the end of one question and the next, give or take a
	// random part of up to Jitter. Defaults 10 s and 0.1; Jitter negative: none.
	Interval time.Duration
	Jitter   float64
	// Timeout is how long an answer may take, to the end of its header. Default
	// 5 s.
	Timeout time.Duration
	// MinStatus and MaxStatus bound the status codes that say the server is
	// well. Defaults 200 and 399.
	MinStatus int
	MaxStatus int
	// UnhealthyAfter and HealthyAfter are how many answers in sequence it takes
	// to believe them. Defaults 3 and 2.
	UnhealthyAfter int
	HealthyAfter   int
}

// maxServers and maxWeight bound what choosing costs and keep sums far from
// overflow.
const (
	maxServers = 1024
	maxWeight  = 65535
)

// An OptionError is one thing that is wrong with one field of the Options.
type OptionError struct {
	Field  string // as Servers[0].Weight
	Value  string
	Remedy string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("upstream: Options.%s is %s: %s", e.Field, e.Value, e.Remedy)
}

// Validate reports every field that is wrong, with its value and the remedy, as
// joined OptionErrors.
func (o Options) Validate() error {
	v := &validation{}
	v.servers(o)
	v.wrong(strings.ContainsFunc(o.Name, func(c rune) bool { return c < ' ' }), "Name", fmt.Sprintf("%q", o.Name), "take control characters out")
	v.wrong(o.Policy < LeastRequests || o.Policy > Hash, "Policy", int(o.Policy), "use LeastRequests, RoundRobin or Hash")
	v.wrong(o.HashBound != 0 && !(o.HashBound > 1), "HashBound", o.HashBound, "set a number above 1, as 1.25, or 0 for no bound")
	v.wrong(o.HashBound != 0 && o.Policy != Hash, "HashBound", o.HashBound, "it needs Policy Hash: set that, or 0")
	v.duration("ConnectTimeout", o.ConnectTimeout)
	v.duration("HeaderTimeout", o.HeaderTimeout)
	v.duration("IdleTimeout", o.IdleTimeout)
	v.wrong(o.MaxHeaderBytes < 0, "MaxHeaderBytes", o.MaxHeaderBytes, "set a number of bytes above 0, or 0 for the default")
	v.wrong(o.MaxConns < 0, "MaxConns", o.MaxConns, "set a number above 0, or 0 for the default")
	v.wrong(!(o.Rate >= 0) || math.IsInf(o.Rate, 1), "Rate", o.Rate, "set a number of requests a second, or 0 for no limit")
	v.wrong(o.Burst < 0, "Burst", o.Burst, "set a number above 0, or 0 for the default")
	v.wrong(o.Burst > 0 && o.Rate == 0, "Burst", o.Burst, "it needs Rate: set that, or 0")
	v.duration("QueueTimeout", o.QueueTimeout)
	v.duration("EjectFor", o.EjectFor)
	v.duration("MaxEjectFor", o.MaxEjectFor)
	d := o.withDefaults()
	v.wrong(o.MaxEjectFor >= 0 && d.MaxEjectFor < d.EjectFor, "MaxEjectFor", d.MaxEjectFor, fmt.Sprintf("set at least EjectFor, which is %v", d.EjectFor))
	v.wrong(!(o.MinHealthy >= 0 && o.MinHealthy <= 1), "MinHealthy", o.MinHealthy, "set a part between 0 and 1")
	v.wrong(!(o.RetryBudget >= 0 && o.RetryBudget <= 1), "RetryBudget", o.RetryBudget, "set a part between 0 and 1")
	v.health(o.Health)
	return errors.Join(v.errs...)
}

type validation struct{ errs []error }

func (v *validation) wrong(bad bool, field string, value any, remedy string) {
	if bad {
		v.errs = append(v.errs, &OptionError{Field: field, Value: fmt.Sprint(value), Remedy: remedy})
	}
}

func (v *validation) duration(field string, d time.Duration) {
	v.wrong(d < 0, field, d, "set a duration above 0, or 0 for the default")
}

func (v *validation) servers(o Options) {
	v.wrong(len(o.Servers) == 0, "Servers", "empty", "name one server at least")
	v.wrong(len(o.Servers) > maxServers, "Servers", fmt.Sprintf("%d long", len(o.Servers)), fmt.Sprintf("name at most %d", maxServers))
	seen := map[string]int{}
	for i, s := range o.Servers {
		field := fmt.Sprintf("Servers[%d]", i)
		v.wrong(s.Weight < 0 || s.Weight > maxWeight, field+".Weight", s.Weight, fmt.Sprintf("set a number from 1 to %d, or 0 for 1", maxWeight))
		field += ".URL"
		if s.URL == nil {
			v.wrong(true, field, "nil", "set it, as http://127.0.0.1:9000")
			continue
		}
		text := s.URL.Redacted()
		v.wrong(s.URL.Scheme != "http" && s.URL.Scheme != "https", field, text, "its scheme must be http or https")
		v.wrong(s.URL.Host == "", field, text, "it names no host")
		v.wrong(s.URL.User != nil, field, text, "take the user out: a pool adds no credentials to requests")
		v.wrong(s.URL.RawQuery != "" || s.URL.Fragment != "", field, text, "take query and fragment out")
		if first, twice := seen[text]; twice {
			v.wrong(true, field, text, fmt.Sprintf("Servers[%d] has it too: give that one a Weight instead", first))
		}
		seen[text] = i
	}
}

func (v *validation) health(h Health) {
	d := h.withDefaults()
	v.wrong(h.Path == "" && h != Health{}, "Health.Path", `""`, "set it, as /healthz: without it servers are not asked")
	v.wrong(h.Path != "" && !validPath(h.Path), "Health.Path", fmt.Sprintf("%q", h.Path), "it must begin with a slash and be a path, with or without a query")
	v.duration("Health.Interval", h.Interval)
	v.wrong(h.Jitter > 1 || math.IsNaN(h.Jitter), "Health.Jitter", h.Jitter, "set a part between 0 and 1, or a negative number for none")
	v.duration("Health.Timeout", h.Timeout)
	v.wrong(d.MinStatus < 100 || d.MinStatus > 599, "Health.MinStatus", d.MinStatus, "set a status code")
	v.wrong(d.MaxStatus < d.MinStatus || d.MaxStatus > 599, "Health.MaxStatus", d.MaxStatus, fmt.Sprintf("set a status code from MinStatus, which is %d, to 599", d.MinStatus))
	v.wrong(h.UnhealthyAfter < 0, "Health.UnhealthyAfter", h.UnhealthyAfter, "set a number above 0, or 0 for the default")
	v.wrong(h.HealthyAfter < 0, "Health.HealthyAfter", h.HealthyAfter, "set a number above 0, or 0 for the default")
}

func validPath(path string) bool {
	u, err := url.ParseRequestURI(path)
	return err == nil && strings.HasPrefix(path, "/") && u.Host == ""
}

// withDefaults is the one place of the defaults.
func (o Options) withDefaults() Options {
	defaulted(&o.Name, "origin")
	defaulted(&o.ConnectTimeout, 10*time.Second)
	defaulted(&o.IdleTimeout, 90*time.Second)
	defaulted(&o.MaxHeaderBytes, 256<<10)
	defaulted(&o.MaxConns, 256)
	defaulted(&o.MaxRequests, 512)
	defaulted(&o.Burst, int(min(max(math.Ceil(o.Rate), 1), math.MaxInt32)))
	defaulted(&o.MaxQueued, 1024)
	defaulted(&o.QueueTimeout, 5*time.Second)
	defaulted(&o.EjectAfter, 5)
	defaulted(&o.EjectFor, 10*time.Second)
	defaulted(&o.MaxEjectFor, 5*time.Minute)
	defaulted(&o.Retries, 1)
	defaulted(&o.RetryBudget, 0.1)
	o.Health = o.Health.withDefaults()
	return o
}

func (h Health) withDefaults() Health {
	defaulted(&h.Interval, 10*time.Second)
	defaulted(&h.Jitter, 0.1)
	defaulted(&h.Timeout, 5*time.Second)
	defaulted(&h.MinStatus, 200)
	defaulted(&h.MaxStatus, 399)
	defaulted(&h.UnhealthyAfter, 3)
	defaulted(&h.HealthyAfter, 2)
	return h
}

func defaulted[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}
