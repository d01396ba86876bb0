package prom_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/metrics/prom"
)

// store is one that says what it is told to.
type store struct {
	stat corral.StoreStat
	err  error
}

func (s store) Stat(context.Context) (corral.StoreStat, error) { return s.stat, s.err }

func TestEveryNumberOfAStoreIsShown(t *testing.T) {
	s := corral.StoreStat{Kind: "disk"}
	v := reflect.ValueOf(&s).Elem()
	want := map[float64]string{}
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case field.CanInt():
			field.SetInt(int64(1000 + i))
			want[float64(1000+i)] = v.Type().Field(i).Name
		case field.CanUint():
			field.SetUint(uint64(1000 + i))
			want[float64(1000+i)] = v.Type().Field(i).Name
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.NewStore("a", store{stat: s}))
	registry.MustRegister(prom.New(cache{name: "a"})) // whose names are others
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
		t.Errorf("not shown: %v", want)
	}
	if problems, err := testutil.CollectAndLint(prom.NewStore("a", store{stat: s})); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestAStoreIsBrokenWhenItSaysSoOrNothing(t *testing.T) {
	for _, row := range []struct {
		store
		kind, broken string
		metrics      int
	}{
		{store{stat: corral.StoreStat{Kind: "redis", Entries: -1, Bytes: -1}}, "redis", "0", 12},
		{store{stat: corral.StoreStat{Kind: "redis", Entries: -1, Bytes: -1, Broken: "for 3s"}}, "redis", "1", 12},
		{store{stat: corral.StoreStat{Kind: "disk"}}, "disk", "0", 14},
		{store{err: errors.New("gone")}, "", "1", 1},
	} {
		collector := prom.NewStore("a", row.store)
		err := testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP corral_store_broken 1 while the store is done without.
# TYPE corral_store_broken gauge
corral_store_broken{cache="a",kind="`+row.kind+`"} `+row.broken+"\n"), "corral_store_broken")
		if err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(collector); n != row.metrics {
			t.Errorf("%+v: %d metrics, want %d", row.store, n, row.metrics)
		}
	}
}
