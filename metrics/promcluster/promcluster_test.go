package promcluster_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corralcache/corral/coordinator/cluster"
	"github.com/corralcache/corral/metrics/promcluster"
)

var _ promcluster.Source = (*cluster.Node)(nil)

// node is a Source with any counts.
type node cluster.Status

func (n node) Status() cluster.Status { return cluster.Status(n) }

func TestAllOfAClusterPassesTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(promcluster.New(node{Name: "a", Nodes: []cluster.NodeStatus{{Name: "a"}, {Name: "b", State: "live"}, {Name: "c", State: "live"}}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryNumberOfANodesStatusIsShown(t *testing.T) {
	var s cluster.Status
	want := map[float64]string{1: "Standing", 7: "Lease", 1200: "Nodes.Seen"}
	next := 1000
	v := reflect.ValueOf(&s).Elem()
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
	for shown, name := range want {
		if name == "Lease" && shown != 7 {
			delete(want, shown)
		}
		if name == "Renewals" { // shown as those that were done, and those that failed
			delete(want, shown)
		}
	}
	s.Name, s.Standing, s.Lease = "a", true, 7*time.Second
	s.Renewals = s.RenewalsFailed + 9000
	want[9000] = "Renewals"
	s.Nodes = []cluster.NodeStatus{{Name: "a"}, {Name: "b", Seen: 1200 * time.Second}}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(promcluster.New(node(s)))
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
