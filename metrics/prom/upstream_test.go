package prom_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/corralcache/corral/metrics/prom"
	"github.com/corralcache/corral/upstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var (
	_ prom.PoolSource = (*upstream.Pool)(nil)
	_ prom.PoolSource = pool{}
)

// pool is a PoolSource with any counts.
type pool struct {
	name  string
	stats upstream.Stats
}

func (p pool) Name() string          { return p.name }
func (p pool) Stats() upstream.Stats { return p.stats }

func TestAllOfUpstreamPassesTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(prom.NewUpstream(
		pool{"a", upstream.Stats{Servers: []upstream.ServerStats{{URL: "http://one.test"}, {URL: "http://two.test"}}}},
		pool{"b", upstream.Stats{Servers: []upstream.ServerStats{{URL: "http://one.test"}}}},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryFieldOfAPoolsStatsIsShown(t *testing.T) {
	want := map[float64]string{1: "Healthy"}
	next := 1000
	fill := func(s any) {
		v := reflect.ValueOf(s).Elem()
		for i := range v.NumField() {
			field := v.Field(i)
			next++
			switch {
			case field.CanInt():
				field.SetInt(int64(next))
			case field.CanUint():
				field.SetUint(uint64(next))
			default:
				continue
			}
			want[float64(next)] = v.Type().Field(i).Name
		}
	}
	server := upstream.ServerStats{URL: "http://one.test", Healthy: true}
	fill(&server)
	stats := upstream.Stats{Servers: []upstream.ServerStats{server}}
	fill(&stats)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.NewUpstream(pool{"a", stats}))
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

func TestServersAreToldApartByPoolAndURL(t *testing.T) {
	err := testutil.CollectAndCompare(prom.NewUpstream(
		pool{"a", upstream.Stats{Servers: []upstream.ServerStats{{URL: "http://one.test", Healthy: true}, {URL: "http://two.test"}}}},
		pool{"b", upstream.Stats{Servers: []upstream.ServerStats{{URL: "http://one.test"}}}},
	), strings.NewReader(`
# HELP corral_upstream_healthy 1 for a server that neither health checks nor failures speak against, else 0.
# TYPE corral_upstream_healthy gauge
corral_upstream_healthy{pool="a",server="http://one.test"} 1
corral_upstream_healthy{pool="a",server="http://two.test"} 0
corral_upstream_healthy{pool="b",server="http://one.test"} 0
`), "corral_upstream_healthy")
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoPoolsOfOneNameAreNotRegistered(t *testing.T) {
	err := prometheus.NewRegistry().Register(prom.NewUpstream(pool{name: "a"}, pool{name: "a"}))
	if err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Fatalf("Register gave %v, want an error with the name", err)
	}
}
