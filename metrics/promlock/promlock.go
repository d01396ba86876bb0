// Package promlock shows a coordinator in Redis to Prometheus. It is apart from
// package prom, so that programs without one do not carry a Redis client.
package promlock

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral/coordinator/redislock"
)

// A Source is a coordinator as a Collector sees it: a *redislock.Coordinator.
type Source interface{ Stats() redislock.Stats }

// A Collector is a prometheus.Collector over a coordinator. It reads at each
// scrape and at no other time, without the network. All metrics carry the label
// cache.
type Collector struct {
	cache string
	from  Source
}

var _ prometheus.Collector = (*Collector)(nil)

// New makes a collector over the coordinator of a cache.
func New(cache string, from Source) *Collector { return &Collector{cache, from} }

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *redislock.Stats) float64
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("corral_redislock_"+name, help, []string{"cache"}, nil)
}

func count(name, help string, value func(s *redislock.Stats) uint64) metric {
	return metric{describe(name, help), prometheus.CounterValue, func(s *redislock.Stats) float64 { return float64(value(s)) }}
}

var metrics = []metric{
	{describe("up", "1 while the Redis that decides is there."), prometheus.GaugeValue, func(s *redislock.Stats) float64 {
		if s.Up {
			return 1
		}
		return 0
	}},
	{describe("pending_invalidations", "Invalidations that the Redis has not been told of."), prometheus.GaugeValue, func(s *redislock.Stats) float64 { return float64(s.Pending) }},
	count("joins_total", "Questions to the Redis: who has a value, or computes it.", func(s *redislock.Stats) uint64 { return s.Joins }),
	count("values_total", "Questions answered by a value that the Redis has.", func(s *redislock.Stats) uint64 { return s.Values }),
	count("leases_total", "Questions answered by the right to compute.", func(s *redislock.Stats) uint64 { return s.Leases }),
	count("waits_total", "Questions that waited for what another process computes.", func(s *redislock.Stats) uint64 { return s.Waits }),
	count("polls_total", "Waits that asked again because nothing was heard of the computing process.", func(s *redislock.Stats) uint64 { return s.Polls }),
	count("lost_leases_total", "Rights to compute that were void before the value was there.", func(s *redislock.Stats) uint64 { return s.Lost }),
	count("errors_total", "Calls of the Redis that failed.", func(s *redislock.Stats) uint64 { return s.Errors }),
	count("corrupt_total", "Values in the Redis that could not be read.", func(s *redislock.Stats) uint64 { return s.Corrupt }),
	count("too_large_total", "Values over the limit, which are not shared.", func(s *redislock.Stats) uint64 { return s.TooLarge }),
	count("outage_joins_total", "Questions that were not asked because the Redis was away.", func(s *redislock.Stats) uint64 { return s.Outages }),
	count("sessions_total", "Connections that stood.", func(s *redislock.Stats) uint64 { return s.Sessions }),
	count("gaps_total", "Connections that were given up because a message was missing.", func(s *redislock.Stats) uint64 { return s.Gaps }),
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.from.Stats()
	for _, m := range metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s), c.cache)
	}
}
