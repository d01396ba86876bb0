package server

import (
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the server's own figures, in a registry of its own so that a
// program can run two servers.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	bytes    prometheus.Counter
	counters sync.Map // of prometheus.Counter by counterKey: those of requests
}

type counterKey struct {
	status  int
	outcome string
}

// counter is that of a status and an outcome, both of which are few. It is
// remembered because to find it by its labels costs more.
func (m *metrics) counter(status int, outcome string) prometheus.Counter {
	key := counterKey{status, outcome}
	if counter, ok := m.counters.Load(key); ok {
		return counter.(prometheus.Counter)
	}
	counter := m.requests.WithLabelValues(strconv.Itoa(status), outcome)
	m.counters.Store(key, counter)
	return counter
}

// collectorTime shows what part of the processor time collections take: the
// price of the memory limit that BoundMemory sets.
var collectorTime = collectors.GoRuntimeMetricsRule{
	Matcher: regexp.MustCompile(`^/cpu/classes/(gc/)?total:cpu-seconds$`),
}

func newMetrics(options Options) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "corral_http_requests_total",
			Help: "Requests that ended, by status (0: none was sent) and by what the cache did.",
		}, []string{"code", "result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "corral_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 17), // 0.5 ms to 32.8 s
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "corral_http_response_bytes_total",
			Help: "Bytes of answers' bodies.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "corral_build_info",
		Help:        "1, with what this program was built from.",
		ConstLabels: prometheus.Labels{"version": options.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.bytes, build,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectorTime)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(options.Collectors...)
	return m
}

// observe adds what is read from the server at the moment of a scrape.
func (m *metrics) observe(s *Server) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("corral_http_requests_in_flight", "Requests that have not ended.",
		func() float64 { return float64(s.inFlight.Load()) })
	gauge("corral_http_connections", "Open connections of clients.",
		func() float64 { return float64(s.conns.open.Load()) })
	gauge("corral_ready", "1 between start and stop, but for a node of a cluster while it has no lease.", func() float64 {
		if state(s.state.Load()) == ready && s.mayAnswer() {
			return 1
		}
		return 0
	})
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "corral_access_log_dropped_total",
		Help: "Lines of the access log that were not written because standard output did not keep up.",
	}, func() float64 {
		if s.access == nil {
			return 0
		}
		return float64(s.access.dropped.Load())
	}))
}

func (m *metrics) request(status int, outcome string, bytes int64, took time.Duration) {
	m.counter(status, outcome).Inc()
	m.duration.Observe(took.Seconds())
	m.bytes.Add(float64(bytes))
}
