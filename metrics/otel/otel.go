// Package otel shows the counts of Corral caches as OpenTelemetry metrics, and
// their loads as spans.
//
// Register makes one observable instrument for each figure. A cache's Stats are
// read once at each collection and at no other time: there is no goroutine. All
// points carry the attribute cache, the cache's name.
//
// OpenTelemetry has no observable histogram, and Stats counts load times in
// fixed buckets. They are shown as Prometheus does it: corral.load.duration.bucket
// counts the loads that took less than the attribute le, in seconds, "+Inf"
// among them, and corral.load.duration.sum is the time that all of them took;
// corral.store.duration.bucket and .sum are those of calls of the store, by the
// attribute call.
//
// Trace gives each load a span in a trace of its own, linked to the span of the
// caller who began it. A load answers many callers and outlives any of them,
// which is why it is no child of one.
package otel

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A Source is a cache as Register sees it: every *corral.Cache is one.
type Source interface {
	Name() string
	Stats() corral.Stats
}

// A figure is one point of an instrument. Several figures may share a counter.
type figure struct {
	name, unit, help string
	gauge            bool
	value            func(s *corral.Stats) int64
	attributes       []attribute.KeyValue // beside the cache's name
}

func count(name, unit, help string, value func(s *corral.Stats) uint64, attributes ...attribute.KeyValue) figure {
	return figure{name, unit, help, false, func(s *corral.Stats) int64 { return int64(value(s)) }, attributes}
}

func gauge(name, unit, help string, value func(s *corral.Stats) int64) figure {
	return figure{name, unit, help, true, value, nil}
}

func request(result string, value func(s *corral.Stats) uint64) figure {
	return count("corral.requests", "{request}", "Calls answered by a fresh value (hit), by a stale one (stale), that began a load (miss), or parked on another's (join).",
		value, attribute.String("result", result))
}

var figures = []figure{
	request("hit", func(s *corral.Stats) uint64 { return s.Hits }),
	request("stale", func(s *corral.Stats) uint64 { return s.StaleHits }),
	request("miss", func(s *corral.Stats) uint64 { return s.Misses }),
	request("join", func(s *corral.Stats) uint64 { return s.Joins }),

	count("corral.loads", "{call}", "Calls of the loader, retries included.", func(s *corral.Stats) uint64 { return s.Loads }),
	count("corral.flights", "{load}", "Loads begun, refreshes included, whatever answered them: store, coordinator or loader.", func(s *corral.Stats) uint64 { return s.Flights }),
	count("corral.refreshes", "{load}", "Loads begun behind a value.", func(s *corral.Stats) uint64 { return s.Refreshes }),
	count("corral.refreshes.early", "{load}", "Refreshes of a value that was still fresh, drawn by XFetch.", func(s *corral.Stats) uint64 { return s.EarlyDraws }),
	count("corral.load.failures", "{load}", "Loads that ended in an error, timeouts and panics included.", func(s *corral.Stats) uint64 { return s.Failures }),
	count("corral.load.timeouts", "{load}", "Loads that reached their deadline.", func(s *corral.Stats) uint64 { return s.Timeouts }),
	count("corral.load.panics", "{load}", "Loads that ended in a panic or in runtime.Goexit.", func(s *corral.Stats) uint64 { return s.Panics }),
	count("corral.load.retries", "{call}", "Calls of the loader that repeated a failed one.", func(s *corral.Stats) uint64 { return s.Retries }),
	count("corral.load.cycles", "{call}", "Calls refused because a load would have waited for itself.", func(s *corral.Stats) uint64 { return s.Cycles }),
	count("corral.load.abandoned", "{load}", "Loads cancelled because nobody waited for them any more.", func(s *corral.Stats) uint64 { return s.Abandoned }),
	count("corral.load.shared", "{value}", "Values handed to those who waited and not kept.", func(s *corral.Stats) uint64 { return s.Shares }),
	count("corral.load.passed", "{value}", "Values that were for one caller only.", func(s *corral.Stats) uint64 { return s.Passes }),
	count("corral.load.not_modified", "{load}", "Loads that found their value unchanged.", func(s *corral.Stats) uint64 { return s.NotModified }),
	count("corral.load.detached", "{load}", "Loads that an invalidation or a Set parted from their key.", func(s *corral.Stats) uint64 { return s.Detached }),
	count("corral.remote.hits", "{load}", "Loads answered by another process.", func(s *corral.Stats) uint64 { return s.RemoteHits }),
	count("corral.mirrored", "{value}", "Values kept although another process owns their key.", func(s *corral.Stats) uint64 { return s.Mirrored }),
	count("corral.unmirrored", "{value}", "Values of keys that another process owns which were given to callers and not kept.", func(s *corral.Stats) uint64 { return s.Unmirrored }),
	count("corral.mirrors.outgrown", "{value}", "Mirrors that left to make room for a younger one.", func(s *corral.Stats) uint64 { return s.MirrorsOutgrown }),
	count("corral.store.hits", "{load}", "Loads answered by the store.", func(s *corral.Stats) uint64 { return s.StoreHits }),
	count("corral.store.errors", "{error}", "Failures of the store or the codec; serving went on without.", func(s *corral.Stats) uint64 { return s.StoreErrors }),
	count("corral.refused", "{call}", "Calls and refreshes that met a limit.", func(s *corral.Stats) uint64 { return s.Refused }),
	count("corral.paused", "{call}", "Calls answered with the last failure while their key rested.", func(s *corral.Stats) uint64 { return s.Paused }),
	count("corral.evictions", "{value}", "Values that left to make room.", func(s *corral.Stats) uint64 { return s.Evictions }),
	count("corral.invalidations", "{invalidation}", "Invalidations, by calls or from a coordinator.", func(s *corral.Stats) uint64 { return s.Invalidations }),
	count("corral.zombie.results", "{result}", "Results dropped because they came after the load's deadline.", func(s *corral.Stats) uint64 { return s.ZombieResults }),
	count("corral.events.dropped", "{event}", "Events that a subscriber missed because its buffer was full.", func(s *corral.Stats) uint64 { return s.DroppedEvents }),

	gauge("corral.entries", "{entry}", "Keys that the cache has something under.", func(s *corral.Stats) int64 { return int64(s.Entries) }),
	gauge("corral.kept", "By", "Bytes kept, overhead included.", func(s *corral.Stats) int64 { return s.Bytes }),
	gauge("corral.mirrors", "{entry}", "Of the entries, those whose value another process owns.", func(s *corral.Stats) int64 { return int64(s.Mirrors) }),
	gauge("corral.mirrors.kept", "By", "Of the bytes kept, what mirrors take.", func(s *corral.Stats) int64 { return s.MirrorBytes }),
	gauge("corral.in_flight", "By", "Bytes of bodies that still arrive or that only their readers hold.", func(s *corral.Stats) int64 { return s.BytesInFlight }),
	gauge("corral.limit", "By", "What kept and in-flight bytes together never exceed; the largest number for a cache without a limit.", func(s *corral.Stats) int64 { return s.MaxBytes }),
	gauge("corral.loads.running", "{load}", "Loads whose goroutine has not returned.", func(s *corral.Stats) int64 { return int64(s.Running) }),
	gauge("corral.store.pending", "{invalidation}", "Invalidations that the store has not been told of; it is not read before.", func(s *corral.Stats) int64 { return int64(s.StorePending) }),
	gauge("corral.loads.zombie", "{load}", "Running loads that are past their deadline.", func(s *corral.Stats) int64 { return int64(s.Zombies) }),
	gauge("corral.calls.waiting", "{call}", "Calls that wait for a load at this moment.", func(s *corral.Stats) int64 { return int64(s.Waiters) }),
}

// Register shows the figures of caches, whose names must differ, until the
// registration is ended with Unregister.
func Register(meter metric.Meter, caches ...Source) (metric.Registration, error) {
	seen := map[string]bool{}
	for _, cache := range caches {
		if seen[cache.Name()] {
			return nil, fmt.Errorf("metrics/otel: two caches are named %q: set Options.Name", cache.Name())
		}
		seen[cache.Name()] = true
	}
	in, err := makeInstruments(meter)
	if err != nil {
		return nil, fmt.Errorf("metrics/otel: %w", err)
	}
	observe := func(_ context.Context, observer metric.Observer) error {
		for _, cache := range caches {
			in.observe(observer, cache)
		}
		return nil
	}
	registration, err := meter.RegisterCallback(observe, in.all()...)
	if err != nil {
		return nil, fmt.Errorf("metrics/otel: %w", err)
	}
	return registration, nil
}

// instruments are those of one meter, by name.
type instruments struct {
	figures     map[string]metric.Int64Observable
	load, store histogram
}

// A histogram is two counters: of what took less than each bound, and of the time
// that all of it took.
type histogram struct {
	buckets metric.Int64ObservableCounter
	sum     metric.Float64ObservableCounter
}

func makeHistogram(meter metric.Meter, name, unit, below, sum string) (h histogram, err error) {
	if h.buckets, err = meter.Int64ObservableCounter(name+".bucket", metric.WithUnit(unit), metric.WithDescription(below)); err != nil {
		return h, err
	}
	h.sum, err = meter.Float64ObservableCounter(name+".sum", metric.WithUnit("s"), metric.WithDescription(sum))
	return h, err
}

// observe shows times that Stats has counted by their bounds.
func (h histogram) observe(observer metric.Observer, bounds []time.Duration, times []uint64, sum time.Duration, attributes ...attribute.KeyValue) {
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(more, attributes...)...)
	}
	var below uint64
	for i, n := range times {
		bound := math.Inf(1)
		if i < len(bounds) {
			bound = bounds[i].Seconds()
		}
		below += n
		observer.ObserveInt64(h.buckets, int64(below), with(attribute.String("le", strconv.FormatFloat(bound, 'g', -1, 64))))
	}
	observer.ObserveFloat64(h.sum, sum.Seconds(), with())
}

func makeInstruments(meter metric.Meter) (*instruments, error) {
	in := &instruments{figures: map[string]metric.Int64Observable{}}
	for _, f := range figures {
		if in.figures[f.name] != nil {
			continue
		}
		var err error
		if f.gauge {
			in.figures[f.name], err = meter.Int64ObservableGauge(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
		} else {
			in.figures[f.name], err = meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
		}
		if err != nil {
			return nil, err
		}
	}
	var err error
	if in.load, err = makeHistogram(meter, "corral.load.duration", "{load}",
		"Loads that took less than the attribute le, in seconds, whatever answered them.",
		"How long all loads together took, from their start to their outcome."); err != nil {
		return nil, err
	}
	in.store, err = makeHistogram(meter, "corral.store.duration", "{call}",
		"Calls of the store (get, put, delete) that took less than the attribute le, in seconds.",
		"How long all calls of the store together took.")
	return in, err
}

func (in *instruments) all() []metric.Observable {
	all := []metric.Observable{in.load.buckets, in.load.sum, in.store.buckets, in.store.sum}
	for _, instrument := range in.figures {
		all = append(all, instrument)
	}
	return all
}

func (in *instruments) observe(observer metric.Observer, cache Source) {
	s := cache.Stats()
	name := attribute.String("cache", cache.Name())
	with := func(attributes ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(attributes[:len(attributes):len(attributes)], name)...)
	}
	for _, f := range figures {
		observer.ObserveInt64(in.figures[f.name], f.value(&s), with(f.attributes...))
	}
	in.load.observe(observer, corral.LoadTimeBounds(), s.LoadTimes[:], s.LoadTime, name)
	for call, calls := range map[string]*corral.StoreCalls{"get": &s.StoreGets, "put": &s.StorePuts, "delete": &s.StoreDeletes} {
		in.store.observe(observer, corral.StoreTimeBounds(), calls.Times[:], calls.Time, name, attribute.String("call", call))
	}
}
