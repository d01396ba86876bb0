package prom_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/metrics/prom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// cache is a Source with any counts.
type cache struct {
	name  string
	stats corral.Stats
}

func (c cache) Name() string        { return c.name }
func (c cache) Stats() corral.Stats { return c.stats }

func TestAllNamesHelpAndUnitsPassTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(prom.New(cache{name: "a"}, cache{name: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryFieldOfStatsIsShown(t *testing.T) {
	var s corral.Stats
	v := reflect.ValueOf(&s).Elem()
	want := map[float64]string{}
	for i := range v.NumField() {
		field, number := v.Field(i), uint64(1000+i)
		switch name := v.Type().Field(i).Name; {
		case field.CanInt() && field.Type() != reflect.TypeFor[time.Duration]():
			field.SetInt(int64(number))
			want[float64(number)] = name
		case field.CanUint():
			field.SetUint(number)
			want[float64(number)] = name
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(cache{"a", s}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			delete(want, m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	if len(want) > 0 {
		t.Fatalf("not shown: %v", want)
	}
}

func TestRequestsAreCountedByCacheAndResult(t *testing.T) {
	collector := prom.New(
		cache{"a", corral.Stats{Hits: 1, StaleHits: 2, Misses: 3, Joins: 4}},
		cache{"b", corral.Stats{Hits: 5}},
	)
	err := testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP corral_requests_total Calls answered by a fresh value (hit), by a stale one (stale), that began a load (miss), or parked on another's (join).
# TYPE corral_requests_total counter
corral_requests_total{cache="a",result="hit"} 1
corral_requests_total{cache="a",result="join"} 4
corral_requests_total{cache="a",result="miss"} 3
corral_requests_total{cache="a",result="stale"} 2
corral_requests_total{cache="b",result="hit"} 5
corral_requests_total{cache="b",result="join"} 0
corral_requests_total{cache="b",result="miss"} 0
corral_requests_total{cache="b",result="stale"} 0
`), "corral_requests_total")
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoadsAreAHistogramInSeconds(t *testing.T) {
	s := corral.Stats{LoadTime: 90*time.Second + 3*time.Millisecond}
	s.LoadTimes[0], s.LoadTimes[2], s.LoadTimes[len(s.LoadTimes)-1] = 5, 2, 1
	h := histogram(t, cache{"a", s})
	if h.GetSampleCount() != 8 || h.GetSampleSum() != 90.003 {
		t.Fatalf("got %d loads in %v s, want 8 in 90.003 s", h.GetSampleCount(), h.GetSampleSum())
	}
	for i, want := range []struct {
		bound float64
		count uint64
	}{{0.001, 5}, {0.002, 5}, {0.004, 7}} {
		if b := h.GetBucket()[i]; b.GetUpperBound() != want.bound || b.GetCumulativeCount() != want.count {
			t.Errorf("bucket %d counts %d up to %v s, want %d up to %v s", i, b.GetCumulativeCount(), b.GetUpperBound(), want.count, want.bound)
		}
	}
	last := h.GetBucket()[len(h.GetBucket())-1]
	if last.GetUpperBound() != 65.536 || last.GetCumulativeCount() != 7 {
		t.Errorf("the last bucket counts %d up to %v s, want 7 up to 65.536 s", last.GetCumulativeCount(), last.GetUpperBound())
	}
}

func histogram(t *testing.T, source prom.Source) *dto.Histogram {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(source))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "corral_load_duration_seconds" {
			return family.GetMetric()[0].GetHistogram()
		}
	}
	t.Fatal("there is no corral_load_duration_seconds")
	return nil
}

func TestCallsOfTheStoreAreAHistogramByCall(t *testing.T) {
	s := corral.Stats{}
	s.StorePuts.Times[0], s.StorePuts.Times[1], s.StorePuts.Time = 5, 2, 3*time.Millisecond
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(cache{"a", s}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "corral_store_call_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			h := m.GetHistogram()
			calls[m.GetLabel()[1].GetValue()] = h.GetSampleCount()
			if b := h.GetBucket()[0]; h.GetSampleCount() == 7 && (b.GetUpperBound() != 16e-6 || b.GetCumulativeCount() != 5 || h.GetSampleSum() != 0.003) {
				t.Errorf("puts are %v", h)
			}
		}
	}
	if len(calls) != 3 || calls["put"] != 7 || calls["get"] != 0 {
		t.Errorf("calls are %v", calls)
	}
}

func TestACacheWithoutALimitHasAnInfiniteOne(t *testing.T) {
	err := testutil.CollectAndCompare(prom.New(cache{"a", corral.Stats{MaxBytes: math.MaxInt64}}), strings.NewReader(`
# HELP corral_max_bytes What kept and in-flight bytes together never exceed; +Inf for a cache without a limit.
# TYPE corral_max_bytes gauge
corral_max_bytes{cache="a"} +Inf
`), "corral_max_bytes")
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoCachesOfOneNameAreNotRegistered(t *testing.T) {
	err := prometheus.NewRegistry().Register(prom.New(cache{name: "a"}, cache{name: "a"}))
	if err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Fatalf("Register gave %v, want an error with the name", err)
	}
}

func Example() {
	products, err := corral.New(corral.Func(func(_ context.Context, key string) (string, error) {
		return "the product " + key, nil
	}), corral.Options[string]{Name: "products", TTL: time.Minute, MaxBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	defer products.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.New(products)) // serve it with promhttp.HandlerFor

	for range 3 {
		products.Get(context.Background(), "sku-42")
	}
	families, _ := registry.Gather()
	for _, family := range families {
		if family.GetName() == "corral_requests_total" {
			for _, m := range family.GetMetric() {
				fmt.Println(m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// products hit 2
	// products join 0
	// products miss 1
	// products stale 0
}
