package otel_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/metrics/otel"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// cache is a Source with any counts.
type cache struct {
	name  string
	stats corral.Stats
}

func (c cache) Name() string        { return c.name }
func (c cache) Stats() corral.Stats { return c.stats }

// collect gives every point as "name{attributes}" and its value.
func collect(t *testing.T, caches ...otel.Source) map[string]float64 {
	t.Helper()
	reader := sdk.NewManualReader()
	registration, err := otel.Register(sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), caches...)
	if err != nil {
		t.Fatal(err)
	}
	defer registration.Unregister()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := map[string]float64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Unit == "" || m.Description == "" {
			t.Errorf("%s has the unit %q and the description %q", m.Name, m.Unit, m.Description)
		}
		add := func(set attribute.Set, value float64) {
			points[m.Name+"{"+set.Encoded(attribute.DefaultEncoder())+"}"] = value
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			if !data.IsMonotonic {
				t.Errorf("%s is not monotonic", m.Name)
			}
			for _, p := range data.DataPoints {
				add(p.Attributes, float64(p.Value))
			}
		case metricdata.Sum[float64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, p.Value)
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, float64(p.Value))
			}
		default:
			t.Errorf("%s is a %T", m.Name, data)
		}
	}
	return points
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
	for _, value := range collect(t, cache{"a", s}) {
		delete(want, value)
	}
	if len(want) > 0 {
		t.Fatalf("not shown: %v", want)
	}
}

func TestPointsCarryTheCacheAndTheResult(t *testing.T) {
	points := collect(t, cache{"a", corral.Stats{Hits: 1, StaleHits: 2, Misses: 3, Joins: 4}}, cache{"b", corral.Stats{Hits: 5}})
	for point, want := range map[string]float64{
		"corral.requests{cache=a,result=hit}":   1,
		"corral.requests{cache=a,result=stale}": 2,
		"corral.requests{cache=a,result=miss}":  3,
		"corral.requests{cache=a,result=join}":  4,
		"corral.requests{cache=b,result=hit}":   5,
		"corral.requests{cache=b,result=join}":  0,
	} {
		if got, ok := points[point]; got != want || !ok {
			t.Errorf("%s is %v, want %v", point, got, want)
		}
	}
}

func TestLoadTimesAreCumulativeBuckets(t *testing.T) {
	s := corral.Stats{LoadTime: 90*time.Second + 3*time.Millisecond}
	s.LoadTimes[0], s.LoadTimes[2], s.LoadTimes[len(s.LoadTimes)-1] = 5, 2, 1
	points := collect(t, cache{"a", s})
	for point, want := range map[string]float64{
		"corral.load.duration.bucket{cache=a,le=0.001}":  5,
		"corral.load.duration.bucket{cache=a,le=0.002}":  5,
		"corral.load.duration.bucket{cache=a,le=0.004}":  7,
		"corral.load.duration.bucket{cache=a,le=65.536}": 7,
		"corral.load.duration.bucket{cache=a,le=+Inf}":   8,
		"corral.load.duration.sum{cache=a}":              90.003,
	} {
		if got, ok := points[point]; got != want || !ok {
			t.Errorf("%s is %v, want %v", point, got, want)
		}
	}
}

func TestTwoCachesOfOneNameAreNotRegistered(t *testing.T) {
	_, err := otel.Register(sdk.NewMeterProvider().Meter("test"), cache{name: "a"}, cache{name: "a"})
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

	reader := sdk.NewManualReader() // a program has a periodic one, with an exporter
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	registration, err := otel.Register(provider.Meter("shop"), products)
	if err != nil {
		panic(err)
	}
	defer registration.Unregister()

	for range 3 {
		products.Get(context.Background(), "sku-42")
	}
	var all metricdata.ResourceMetrics
	reader.Collect(context.Background(), &all)
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "corral.loads" {
			fmt.Println(m.Name, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	// Output: corral.loads 1
}

func TestCallsOfTheStoreAreCumulativeBucketsByCall(t *testing.T) {
	s := corral.Stats{}
	s.StorePuts.Times[0], s.StorePuts.Times[1], s.StorePuts.Time = 5, 2, 3*time.Millisecond
	points := collect(t, cache{"a", s})
	for point, want := range map[string]float64{
		"corral.store.duration.bucket{cache=a,call=put,le=1.6e-05}": 5,
		"corral.store.duration.bucket{cache=a,call=put,le=3.2e-05}": 7,
		"corral.store.duration.bucket{cache=a,call=put,le=+Inf}":    7,
		"corral.store.duration.bucket{cache=a,call=get,le=+Inf}":    0,
		"corral.store.duration.sum{cache=a,call=put}":               0.003,
	} {
		if got, ok := points[point]; got != want || !ok {
			t.Errorf("%s is %v, want %v", point, got, want)
		}
	}
}
