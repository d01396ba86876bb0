package promcluster_test

import (
	"reflect"
	"strings"
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
	want := map[float64]string{1: "Standing", 7: "Nodes.Seen", 8: "CertificateEnds", 9000: "Renewals"}
	next := 1000
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		field := v.Field(i)
		next++
		switch {
		case v.Type().Field(i).Name == "Renewals": // shown as those that were done, and those that failed
			continue
		case field.Type() == reflect.TypeFor[time.Duration]():
			field.SetInt(int64(next) * int64(time.Second))
		case field.CanInt():
			field.SetInt(int64(next))
		case field.CanUint():
			field.SetUint(uint64(next))
		default:
			continue
		}
		want[float64(next)] = v.Type().Field(i).Name
	}
	s.Name, s.Standing, s.CertificateEnds = "a", true, time.Unix(8, 0)
	s.Renewals = s.RenewalsFailed + 9000
	s.Nodes = []cluster.NodeStatus{{Name: "a", State: "live"}, {Name: "b", Seen: 7 * time.Second}}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(promcluster.New(node(s)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			delete(want, m.GetCounter().GetValue()+m.GetGauge().GetValue())
			delete(want, float64(m.GetSummary().GetSampleCount()))
			delete(want, m.GetSummary().GetSampleSum())
		}
	}
	if len(want) > 0 {
		t.Fatalf("not shown: %v", want)
	}
}

func TestANodeThatDrainsIsShownAsOne(t *testing.T) {
	for state, want := range map[string]string{"live": "0", "draining": "1"} {
		s := cluster.Status{Name: "a", Nodes: []cluster.NodeStatus{{Name: "a", State: state}, {Name: "b", State: "draining"}}}
		text := `# HELP corral_cluster_draining 1 while the node gives its partitions away, or has: it serves, and owns nothing.
# TYPE corral_cluster_draining gauge
corral_cluster_draining{node="a"} ` + want + "\n"
		if err := testutil.CollectAndCompare(promcluster.New(node(s)), strings.NewReader(text), "corral_cluster_draining"); err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutACertificateNoneIsSaidToEnd(t *testing.T) {
	if n := testutil.CollectAndCount(promcluster.New(node{Name: "a"}), "corral_cluster_certificate_expiry_timestamp_seconds"); n != 0 {
		t.Errorf("%d of them", n)
	}
}
