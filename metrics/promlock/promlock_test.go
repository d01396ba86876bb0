package promlock_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corralcache/corral/coordinator/redislock"
	"github.com/corralcache/corral/metrics/promlock"
)

type lock redislock.Stats

func (l lock) Stats() redislock.Stats { return redislock.Stats(l) }

func TestEveryFieldIsShown(t *testing.T) {
	var s redislock.Stats
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
	registry.MustRegister(promlock.New("a", lock(s)))
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
}

func TestNamesPassTheLinterAndUpIsOneWhileTheRedisIsThere(t *testing.T) {
	collector := promlock.New("a", lock{Up: true})
	if problems, err := testutil.CollectAndLint(collector); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	err := testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP corral_redislock_up 1 while the Redis that decides is there.
# TYPE corral_redislock_up gauge
corral_redislock_up{cache="a"} 1
`), "corral_redislock_up")
	if err != nil {
		t.Error(err)
	}
}
