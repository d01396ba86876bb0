// Package prom shows the counts of Corral caches to Prometheus.
//
// A Collector reads the Stats of its caches at each scrape and at no other
// time: it has no goroutine and keeps nothing. All metrics carry the label
// cache, the cache's name. The names and units follow Prometheus' conventions;
// the help text of each says what it counts. In a scrape the figures of one
// cache belong together up to what happens while they are read.
// An UpstreamCollector does the same for pools of origin servers.
//
// Requests by result add up to what was asked of the cache but for what it
// refused (corral_refused_total) or answered with the last failure
// (corral_paused_total):
//
//	sum by (result) (rate(corral_requests_total{cache="products"}[5m]))
//
// How much the origin is spared is one minus the loads per request:
//
//	1 - rate(corral_loads_total[5m]) / ignoring(result) group_left sum without(result) (rate(corral_requests_total[5m]))
package prom

import (
	"fmt"
	"math"
	"time"

	"github.com/corralcache/corral"
	"github.com/prometheus/client_golang/prometheus"
)

// A Source is a cache as a Collector sees it: every *corral.Cache is one.
type Source interface {
	Name() string
	Stats() corral.Stats
}

// A Collector is a prometheus.Collector over caches. It may be registered with
// several registries.
type Collector struct {
	caches []Source
	err    error
}

var _ prometheus.Collector = (*Collector)(nil)

// New makes a Collector over caches, whose names must differ: registering it
// fails otherwise, and names the name.
func New(caches ...Source) *Collector {
	c := &Collector{caches: caches}
	seen := map[string]bool{}
	for _, cache := range caches {
		if seen[cache.Name()] {
			c.err = fmt.Errorf("metrics/prom: two caches are named %q: set Options.Name", cache.Name())
		}
		seen[cache.Name()] = true
	}
	return c
}

// A metric is one line of the table below.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *corral.Stats) float64
	label []string // beside the cache's name
}

func count(name, help string, value func(s *corral.Stats) uint64) metric {
	return metric{describe(name, help), prometheus.CounterValue, func(s *corral.Stats) float64 { return float64(value(s)) }, nil}
}

func gauge(name, help string, value func(s *corral.Stats) int64) metric {
	return metric{describe(name, help), prometheus.GaugeValue, func(s *corral.Stats) float64 { return float64(value(s)) }, nil}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("corral_"+name, help, append([]string{"cache"}, labels...), nil)
}

var (
	requests = describe("requests_total", "Calls answered by a fresh value (hit), by a stale one (stale), that began a load (miss), or parked on another's (join).", "result")

	loadDuration  = describe("load_duration_seconds", "How long loads took, from their start to their outcome, whatever answered them.")
	storeDuration = describe("store_call_duration_seconds", "How long calls of the store took: get, put with the whole body, delete of all that had been invalidated meanwhile.", "call")

	metrics = []metric{
		result("hit", func(s *corral.Stats) uint64 { return s.Hits }),
		result("stale", func(s *corral.Stats) uint64 { return s.StaleHits }),
		result("miss", func(s *corral.Stats) uint64 { return s.Misses }),
		result("join", func(s *corral.Stats) uint64 { return s.Joins }),

		count("loads_total", "Calls of the loader, retries included.", func(s *corral.Stats) uint64 { return s.Loads }),
		count("flights_total", "Loads begun, refreshes included, whatever answered them: store, coordinator or loader.", func(s *corral.Stats) uint64 { return s.Flights }),
		count("refreshes_total", "Loads begun behind a value.", func(s *corral.Stats) uint64 { return s.Refreshes }),
		count("early_refreshes_total", "Refreshes of a value that was still fresh, drawn by XFetch.", func(s *corral.Stats) uint64 { return s.EarlyDraws }),
		count("load_failures_total", "Loads that ended in an error, timeouts and panics included.", func(s *corral.Stats) uint64 { return s.Failures }),
		count("load_timeouts_total", "Loads that reached their deadline.", func(s *corral.Stats) uint64 { return s.Timeouts }),
		count("load_panics_total", "Loads that ended in a panic or in runtime.Goexit.", func(s *corral.Stats) uint64 { return s.Panics }),
		count("load_retries_total", "Calls of the loader that repeated a failed one.", func(s *corral.Stats) uint64 { return s.Retries }),
		count("load_cycles_total", "Calls refused because a load would have waited for itself.", func(s *corral.Stats) uint64 { return s.Cycles }),
		count("abandoned_total", "Loads cancelled because nobody waited for them any more.", func(s *corral.Stats) uint64 { return s.Abandoned }),
		count("shared_total", "Values handed to those who waited and not kept.", func(s *corral.Stats) uint64 { return s.Shares }),
		count("passed_total", "Values that were for one caller only.", func(s *corral.Stats) uint64 { return s.Passes }),
		count("not_modified_total", "Loads that found their value unchanged.", func(s *corral.Stats) uint64 { return s.NotModified }),
		count("remote_hits_total", "Loads answered by another process.", func(s *corral.Stats) uint64 { return s.RemoteHits }),
		count("mirrored_total", "Values kept although another process owns their key.", func(s *corral.Stats) uint64 { return s.Mirrored }),
		count("unmirrored_total", "Values of keys that another process owns which were given to callers and not kept.", func(s *corral.Stats) uint64 { return s.Unmirrored }),
		count("mirrors_outgrown_total", "Mirrors that left to make room for a younger one.", func(s *corral.Stats) uint64 { return s.MirrorsOutgrown }),
		count("store_hits_total", "Loads answered by the store.", func(s *corral.Stats) uint64 { return s.StoreHits }),
		count("store_errors_total", "Failures of the store or the codec; serving went on without.", func(s *corral.Stats) uint64 { return s.StoreErrors }),
		count("refused_total", "Calls and refreshes that met a limit.", func(s *corral.Stats) uint64 { return s.Refused }),
		count("paused_total", "Calls answered with the last failure while their key rested.", func(s *corral.Stats) uint64 { return s.Paused }),
		count("evictions_total", "Values that left to make room.", func(s *corral.Stats) uint64 { return s.Evictions }),
		count("invalidations_total", "Invalidations, by calls or from a coordinator.", func(s *corral.Stats) uint64 { return s.Invalidations }),
		count("detached_total", "Loads that an invalidation or a Set parted from their key.", func(s *corral.Stats) uint64 { return s.Detached }),
		count("zombie_results_total", "Results dropped because they came after the load's deadline.", func(s *corral.Stats) uint64 { return s.ZombieResults }),
		count("dropped_events_total", "Events that a subscriber missed because its buffer was full.", func(s *corral.Stats) uint64 { return s.DroppedEvents }),

		gauge("entries", "Keys that the cache has something under.", func(s *corral.Stats) int64 { return int64(s.Entries) }),
		gauge("kept_bytes", "Bytes kept, overhead included.", func(s *corral.Stats) int64 { return s.Bytes }),
		gauge("mirrors", "Of the entries, those whose value another process owns.", func(s *corral.Stats) int64 { return int64(s.Mirrors) }),
		gauge("mirror_bytes", "Of the bytes kept, what mirrors take.", func(s *corral.Stats) int64 { return s.MirrorBytes }),
		gauge("in_flight_bytes", "Bytes of bodies that still arrive or that only their readers hold.", func(s *corral.Stats) int64 { return s.BytesInFlight }),
		{describe("max_bytes", "What kept and in-flight bytes together never exceed; +Inf for a cache without a limit."), prometheus.GaugeValue, maxBytes, nil},
		gauge("running_loads", "Loads whose goroutine has not returned.", func(s *corral.Stats) int64 { return int64(s.Running) }),
		gauge("store_pending_invalidations", "Invalidations that the store has not been told of; it is not read before.", func(s *corral.Stats) int64 { return int64(s.StorePending) }),
		gauge("zombie_loads", "Running loads that are past their deadline.", func(s *corral.Stats) int64 { return int64(s.Zombies) }),
		gauge("waiting_calls", "Calls that wait for a load at this moment.", func(s *corral.Stats) int64 { return int64(s.Waiters) }),
	}
)

// result is a line of corral_requests_total.
func result(name string, value func(s *corral.Stats) uint64) metric {
	return metric{requests, prometheus.CounterValue, func(s *corral.Stats) float64 { return float64(value(s)) }, []string{name}}
}

func maxBytes(s *corral.Stats) float64 {
	if s.MaxBytes == math.MaxInt64 {
		return math.Inf(1)
	}
	return float64(s.MaxBytes)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	if c.err != nil {
		descs <- prometheus.NewInvalidDesc(c.err)
		return
	}
	descs <- loadDuration
	descs <- storeDuration
	for _, m := range metrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, cache := range c.caches {
		s := cache.Stats()
		for _, m := range metrics {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s), append([]string{cache.Name()}, m.label...)...)
		}
		for _, h := range histograms(cache.Name(), &s) {
			out <- h
		}
	}
}

// histograms are those of loads and of calls of the store.
func histograms(name string, s *corral.Stats) []prometheus.Metric {
	bounds := corral.StoreTimeBounds()
	return []prometheus.Metric{
		histogram(loadDuration, corral.LoadTimeBounds(), s.LoadTimes[:], s.LoadTime, name),
		histogram(storeDuration, bounds, s.StoreGets.Times[:], s.StoreGets.Time, name, "get"),
		histogram(storeDuration, bounds, s.StorePuts.Times[:], s.StorePuts.Time, name, "put"),
		histogram(storeDuration, bounds, s.StoreDeletes.Times[:], s.StoreDeletes.Time, name, "delete"),
	}
}

// histogram shows times that Stats has counted by their bounds. Prometheus counts
// what lies on a bound below it, Stats above: that is one nanosecond.
func histogram(desc *prometheus.Desc, bounds []time.Duration, times []uint64, sum time.Duration, labels ...string) prometheus.Metric {
	buckets := map[float64]uint64{}
	var below uint64
	for i, bound := range bounds {
		below += times[i]
		buckets[seconds(bound)] = below
	}
	return prometheus.MustNewConstHistogram(desc, below+times[len(times)-1], seconds(sum), buckets, labels...)
}

func seconds(d time.Duration) float64 { return d.Seconds() }
