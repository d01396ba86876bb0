package server

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/unasked"
	"github.com/corralcache/corral/metrics/prom"
	"github.com/corralcache/corral/upstream"
)

// A backend is how requests reach servers: a pool of them, or whichever one a
// request is directed at.
type backend struct {
	http.RoundTripper
	made  string         // of what settings and files: the same for the same
	base  *url.URL       // of a pool: what a request is directed at before a server is chosen
	pool  *upstream.Pool // nil: none
	close func()
}

// backends are pools by their names, and under no name what reaches single
// servers.
type backends map[string]*backend

// backends opens what the Config names. What is in old and the same it takes
// from there. When something is wrong it opens nothing. share is the part of a
// pool's rate that is this process's; nil: all of it.
func (c *Config) backends(old backends, log *slog.Logger, share func() float64) (backends, []*Problem) {
	opened := backends{"": c.single(old[""])}
	var problems []*Problem
	for i := range c.Origins {
		p := &c.Origins[i]
		b, wrong := c.open(p, old[p.Name], log, share)
		problems = append(problems, wrong...)
		if b != nil {
			opened[p.Name] = b
		}
	}
	if len(problems) > 0 {
		opened.closeOthersThan(old)
		return nil, problems
	}
	return opened, nil
}

// closeOthersThan closes all that is not in kept as well.
func (bs backends) closeOthersThan(kept backends) {
	for name, b := range bs {
		if kept[name] != b {
			b.close()
		}
	}
}

// single reaches servers directly, whatever HTTP_PROXY says on this machine,
// and without a compression of its own, for what the origin sends is what is
// stored.
func (c *Config) single(old *backend) *backend {
	made := fmt.Sprint(c.OriginConnectTimeout, c.OriginMaxConns, c.OriginIdleTimeout, c.OriginMaxHeaderBytes)
	if old != nil && old.made == made {
		return old
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		DialContext:            unasked.Dial((&net.Dialer{Timeout: c.OriginConnectTimeout}).DialContext),
		TLSHandshakeTimeout:    c.OriginConnectTimeout,
		MaxConnsPerHost:        c.OriginMaxConns,
		MaxIdleConnsPerHost:    max(c.OriginMaxConns, c.MaxLoads),
		IdleConnTimeout:        c.OriginIdleTimeout,
		MaxResponseHeaderBytes: int64(c.OriginMaxHeaderBytes),
		DisableCompression:     true,
		Protocols:              protocols,
	}
	return &backend{RoundTripper: transport, made: made, close: transport.CloseIdleConnections}
}

// open opens a pool.
func (c *Config) open(p *Pool, old *backend, log *slog.Logger, share func() float64) (*backend, []*Problem) {
	options, problems := c.poolOptions(p, log)
	if len(problems) > 0 {
		return nil, problems
	}
	made := c.madeOf(p)
	if old != nil && old.made == made {
		return old, nil
	}
	options.TimeoutCauses, options.Share = []error{corral.ErrLoadTimeout}, share
	pool, err := upstream.New(options)
	if err != nil {
		return nil, []*Problem{c.problem(poolName(p.Name), p.Servers.String(), err.Error())}
	}
	first := p.Servers[0].URL
	return &backend{
		RoundTripper: pool, made: made, pool: pool,
		base:  &url.URL{Scheme: first.Scheme, Host: first.Host},
		close: func() { pool.Close() },
	}, nil
}

// madeOf tells a pool's settings, and the content of its files, from others.
func (c *Config) madeOf(p *Pool) string {
	var b strings.Builder
	fmt.Fprintln(&b, c.OriginConnectTimeout, c.OriginIdleTimeout, c.OriginMaxHeaderBytes)
	for _, s := range p.Settings() {
		fmt.Fprintf(&b, "%s: %q\n", s.Name, s)
	}
	for _, path := range []string{p.TLS.CA, p.TLS.Cert, p.TLS.Key} {
		text, _ := os.ReadFile(path) // poolOptions has said what is wrong with it
		fmt.Fprintf(&b, "%q\n", text)
	}
	return b.String()
}

// pools collects the counts of the pools that are in force.
func (s *Site) pools() prometheus.Collector {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pools []prom.PoolSource
	for _, b := range s.origins {
		if b.pool != nil {
			pools = append(pools, b.pool)
		}
	}
	return prom.NewUpstream(pools...)
}

// Describe implements prometheus.Collector.
func (s *Site) Describe(descs chan<- *prometheus.Desc) { s.pools().Describe(descs) }

// Collect implements prometheus.Collector.
func (s *Site) Collect(out chan<- prometheus.Metric) { s.pools().Collect(out) }
