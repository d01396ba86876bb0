package prom

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral"
)

// statWithin is how long a store may take to say what it has.
const statWithin = time.Second

// A StoreCollector is a prometheus.Collector over the store of a cache. It asks
// the store at each scrape and at no other time. Its metrics carry the labels
// cache and kind, that of the store. What the cache counts of its calls is among
// a Collector's.
//
// A store that does not answer is shown as broken, with what else is known.
type StoreCollector struct {
	cache string
	store Stater
}

var _ prometheus.Collector = (*StoreCollector)(nil)

// A Stater is a store as a StoreCollector sees it: every corral.Browser is one.
type Stater interface {
	Stat(ctx context.Context) (corral.StoreStat, error)
}

// NewStore makes a StoreCollector over the store of the cache of a name.
func NewStore(cache string, store Stater) *StoreCollector { return &StoreCollector{cache, store} }

type storeMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *corral.StoreStat) float64 // below 0: not known, and not shown
}

func storeDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("corral_store_"+name, help, []string{"cache", "kind"}, nil)
}

func storeCount(name, help string, value func(s *corral.StoreStat) uint64) storeMetric {
	return storeMetric{storeDesc(name, help), prometheus.CounterValue, func(s *corral.StoreStat) float64 { return float64(value(s)) }}
}

func storeGauge(name, help string, value func(s *corral.StoreStat) int64) storeMetric {
	return storeMetric{storeDesc(name, help), prometheus.GaugeValue, func(s *corral.StoreStat) float64 { return float64(value(s)) }}
}

var storeBroken = storeDesc("broken", "1 while the store is done without.")

var storeMetrics = []storeMetric{
	storeGauge("entries", "Values in the store; an estimate.", func(s *corral.StoreStat) int64 { return s.Entries }),
	storeGauge("kept_bytes", "Bytes of keys, values and overhead in the store; an estimate.", func(s *corral.StoreStat) int64 { return s.Bytes }),
	storeGauge("max_bytes", "What these are kept below; 0 for a store without a limit of its own.", func(s *corral.StoreStat) int64 { return s.MaxBytes }),
	{storeDesc("revision", "The highest revision that the store has seen."), prometheus.GaugeValue, func(s *corral.StoreStat) float64 { return float64(s.Revision) }},
	storeCount("lookups_total", "Keys that the store was asked for.", func(s *corral.StoreStat) uint64 { return s.Gets }),
	storeCount("found_total", "Of these, those that it had.", func(s *corral.StoreStat) uint64 { return s.Hits }),
	storeCount("written_total", "Values written.", func(s *corral.StoreStat) uint64 { return s.Puts }),
	storeCount("deleted_total", "Invalidations that the store was told of.", func(s *corral.StoreStat) uint64 { return s.Deletes }),
	storeCount("failed_calls_total", "Calls that failed in the store.", func(s *corral.StoreStat) uint64 { return s.Errors }),
	storeCount("corrupt_total", "Values that could not be read, and are out of the store now.", func(s *corral.StoreStat) uint64 { return s.Corrupt }),
	storeCount("evicted_total", "Values that had to make room.", func(s *corral.StoreStat) uint64 { return s.Evicted }),
	storeCount("expired_total", "Values that were past all their windows.", func(s *corral.StoreStat) uint64 { return s.Expired }),
	storeCount("refused_total", "Values that were too large, or came when there was no room.", func(s *corral.StoreStat) uint64 { return s.Refused }),
}

// Describe implements prometheus.Collector.
func (c *StoreCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- storeBroken
	for _, m := range storeMetrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *StoreCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statWithin)
	defer cancel()
	s, err := c.store.Stat(ctx)
	broken := 0.0
	if err != nil || s.Broken != "" {
		broken = 1
	}
	out <- prometheus.MustNewConstMetric(storeBroken, prometheus.GaugeValue, broken, c.cache, s.Kind)
	if s.Kind == "" { // it said nothing at all
		return
	}
	for _, m := range storeMetrics {
		if value := m.value(&s); value >= 0 {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, c.cache, s.Kind)
		}
	}
}
