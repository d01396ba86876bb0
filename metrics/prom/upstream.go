package prom

import (
	"fmt"

	"github.com/corralcache/corral/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

// A PoolSource is a pool as an UpstreamCollector sees it: every *upstream.Pool
// is one.
type PoolSource interface {
	Name() string
	Stats() upstream.Stats
}

// An UpstreamCollector is a prometheus.Collector over pools of origin servers.
// Like a Collector it reads at each scrape and at no other time. All metrics
// carry the label pool, those of a server also server, its URL.
type UpstreamCollector struct {
	pools []PoolSource
	err   error
}

var _ prometheus.Collector = (*UpstreamCollector)(nil)

// NewUpstream makes a collector over pools, whose names must differ: registering
// it fails otherwise, and names the name.
func NewUpstream(pools ...PoolSource) *UpstreamCollector {
	c := &UpstreamCollector{pools: pools}
	seen := map[string]bool{}
	for _, pool := range pools {
		if seen[pool.Name()] {
			c.err = fmt.Errorf("metrics/prom: two pools are named %q: set upstream.Options.Name", pool.Name())
		}
		seen[pool.Name()] = true
	}
	return c
}

type poolMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *upstream.Stats) float64
}

type serverMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *upstream.ServerStats) float64
}

func poolDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("corral_upstream_"+name, help, append([]string{"pool"}, labels...), nil)
}

func serverCount(name, help string, value func(s *upstream.ServerStats) uint64) serverMetric {
	return serverMetric{poolDesc(name, help, "server"), prometheus.CounterValue, func(s *upstream.ServerStats) float64 { return float64(value(s)) }}
}

func serverGauge(name, help string, value func(s *upstream.ServerStats) float64) serverMetric {
	return serverMetric{poolDesc(name, help, "server"), prometheus.GaugeValue, value}
}

var poolMetrics = []poolMetric{
	{poolDesc("waiting_requests", "Requests that wait for a server at this moment."), prometheus.GaugeValue, func(s *upstream.Stats) float64 { return float64(s.Waiting) }},
	{poolDesc("refused_total", "Requests for which no server had room."), prometheus.CounterValue, func(s *upstream.Stats) float64 { return float64(s.Refused) }},
	{poolDesc("denied_retries_total", "Retries that the budget did not allow."), prometheus.CounterValue, func(s *upstream.Stats) float64 { return float64(s.Denied) }},
}

var serverMetrics = []serverMetric{
	serverCount("requests_total", "Requests given to a server, retries included.", func(s *upstream.ServerStats) uint64 { return s.Requests }),
	serverCount("failures_total", "Requests that a server did not answer.", func(s *upstream.ServerStats) uint64 { return s.Failures }),
	serverCount("retries_total", "Requests given to a server that had failed before, there or elsewhere.", func(s *upstream.ServerStats) uint64 { return s.Retries }),
	serverCount("ejections_total", "Times that a server was left alone because of failures.", func(s *upstream.ServerStats) uint64 { return s.Ejections }),
	serverCount("questions_total", "Health checks of a server.", func(s *upstream.ServerStats) uint64 { return s.Questions }),
	serverCount("failed_questions_total", "Health checks of a server that did not find it well.", func(s *upstream.ServerStats) uint64 { return s.FailedQuestions }),
	serverGauge("requests_in_flight", "Requests that a server has at this moment, to the end of the answers' bodies.", func(s *upstream.ServerStats) float64 { return float64(s.InFlight) }),
	serverGauge("healthy", "1 for a server that neither health checks nor failures speak against, else 0.", healthy),
}

func healthy(s *upstream.ServerStats) float64 {
	if s.Healthy {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *UpstreamCollector) Describe(descs chan<- *prometheus.Desc) {
	if c.err != nil {
		descs <- prometheus.NewInvalidDesc(c.err)
		return
	}
	for _, m := range poolMetrics {
		descs <- m.desc
	}
	for _, m := range serverMetrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *UpstreamCollector) Collect(out chan<- prometheus.Metric) {
	for _, pool := range c.pools {
		stats := pool.Stats()
		for _, m := range poolMetrics {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&stats), pool.Name())
		}
		for i := range stats.Servers {
			s := &stats.Servers[i]
			for _, m := range serverMetrics {
				out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s), pool.Name(), s.URL)
			}
		}
	}
}
