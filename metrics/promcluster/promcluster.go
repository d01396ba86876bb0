// Package promcluster shows a node of a cluster to Prometheus. It is apart from
// package prom, so that programs that are alone do not carry what a cluster needs.
package promcluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral/coordinator/cluster"
)

// A Source is a node of a cluster as a Collector sees it: a *cluster.Node.
type Source interface{ Status() cluster.Status }

// A Collector is a prometheus.Collector over a node of a cluster. It
// reads at each scrape and at no other time. All metrics carry the label node,
// those of another node also peer, its name.
type Collector struct{ node Source }

var _ prometheus.Collector = (*Collector)(nil)

// New makes a collector over a node.
func New(node Source) *Collector { return &Collector{node} }

type nodeMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *cluster.Status) float64
}

func clusterDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("corral_cluster_"+name, help, append([]string{"node"}, labels...), nil)
}

func nodeGauge(name, help string, value func(s *cluster.Status) float64) nodeMetric {
	return nodeMetric{clusterDesc(name, help), prometheus.GaugeValue, value}
}

func nodeCount(name, help string, value func(s *cluster.Status) uint64) nodeMetric {
	return nodeMetric{clusterDesc(name, help), prometheus.CounterValue, func(s *cluster.Status) float64 { return float64(value(s)) }}
}

var nodeMetrics = []nodeMetric{
	nodeGauge("standing", "1 while the node has a lease: it may answer and grant.", func(s *cluster.Status) float64 { return number(s.Standing) }),
	nodeGauge("lease_seconds", "What is left of the node's lease.", func(s *cluster.Status) float64 { return s.Lease.Seconds() }),
	nodeGauge("lease_least_seconds", "The least that was left of the lease when it was extended, in the last half minute or whole one.", func(s *cluster.Status) float64 { return s.LeaseLeast.Seconds() }),
	nodeGauge("draining", "1 while the node gives its partitions away, or has: it serves, and owns nothing.", func(s *cluster.Status) float64 { return number(s.Draining()) }),
	nodeGauge("watch_behind_revisions", "Revisions that the last renewal has read and the node has not applied yet.", func(s *cluster.Status) float64 { return float64(s.Behind) }),
	nodeGauge("watch_heard_seconds", "Time since the watch of etcd has told of any revision.", func(s *cluster.Status) float64 { return s.Heard.Seconds() }),
	nodeGauge("applied_revision", "The revision up to which the node knows of all invalidations.", func(s *cluster.Status) float64 { return float64(s.Revision) }),
	nodeGauge("table_epoch", "The table of owners that the node goes by.", func(s *cluster.Status) float64 { return float64(s.Epoch) }),
	nodeGauge("owned_partitions", "Partitions that the node owns.", func(s *cluster.Status) float64 { return float64(s.Owned) }),
	nodeGauge("partitions", "Partitions of the cluster.", func(s *cluster.Status) float64 { return float64(s.Partitions) }),
	nodeGauge("streams", "Other nodes that there is a stream to.", func(s *cluster.Status) float64 { return float64(s.Streams()) }),
	nodeGauge("waiting", "Callers of all nodes that wait for keys of this one.", func(s *cluster.Status) float64 { return float64(s.Waiting) }),
	nodeGauge("granted_leases", "Loads, of all nodes, that this one has granted and that run.", func(s *cluster.Status) float64 { return float64(s.Flights) }),
	nodeGauge("held_leases", "Loads that run in this node.", func(s *cluster.Status) float64 { return float64(s.Held) }),
	nodeGauge("unacknowledged_invalidations", "Batches of invalidations that the node has written and that are not acknowledged yet.", func(s *cluster.Status) float64 { return float64(s.Unacked) }),
	nodeGauge("recovery_longest_seconds", "The longest recovery since the start.", func(s *cluster.Status) float64 { return s.RecoveryLongest.Seconds() }),

	nodeCount("lapses_total", "Times that the node's lease ran out.", func(s *cluster.Status) uint64 { return s.Lapses }),
	nodeCount("fenced_total", "Times that the node was declared dead by others, and began anew.", func(s *cluster.Status) uint64 { return s.Fenced }),
	nodeCount("buried_total", "Nodes that this one declared dead.", func(s *cluster.Status) uint64 { return s.Buried }),
	nodeCount("invalidations_total", "Invalidations that the node has written.", func(s *cluster.Status) uint64 { return s.Invalidations }),
	nodeCount("invalidations_not_acknowledged_total", "Invalidations of which the node could not say that they hold everywhere; the caller was told so.", func(s *cluster.Status) uint64 { return s.NotAcknowledged }),
	nodeCount("invalidations_waited_total", "Batches of invalidations for which the lease of another node had to run out: it did not say that it had applied them.", func(s *cluster.Status) uint64 { return s.Silent }),
	nodeCount("adopted_leases_total", "Loads that went on under this node, granted by an earlier owner of their key.", func(s *cluster.Status) uint64 { return s.Adopted }),
	nodeCount("lost_leases_total", "Loads of this node whose lease became void while they ran.", func(s *cluster.Status) uint64 { return s.Lost }),
	nodeCount("unreachable_owner_total", "Keys whose owner could not be reached in time.", func(s *cluster.Status) uint64 { return s.Unreachable }),
	nodeCount("etcd_writes_total", "Writes to etcd.", func(s *cluster.Status) uint64 { return s.EtcdWrites }),
	nodeCount("messages_lost_total", "Messages whose stream had ended.", func(s *cluster.Status) uint64 { return s.MessagesLost }),
}

// A reasonMetric counts by a label.
type reasonMetric struct {
	desc    *prometheus.Desc
	reasons map[string]func(s *cluster.Status) uint64
}

var reasonMetrics = []reasonMetric{
	{clusterDesc("answers_total", "What owners, this node among them, answered its caches: a value, or a lease to compute it.", "kind"), map[string]func(*cluster.Status) uint64{
		"value": func(s *cluster.Status) uint64 { return s.Values },
		"lease": func(s *cluster.Status) uint64 { return s.Leases },
	}},
	{clusterDesc("repeats_total", "What may have had a key computed again: holder_lost, the computing node was gone or silent; superseded, another had the lease by the time it was shown to a new owner; late_rejoin, it was shown late; void_outcome, a value came under a lease that was void.", "reason"), map[string]func(*cluster.Status) uint64{
		"holder_lost":  func(s *cluster.Status) uint64 { return s.HolderLost },
		"superseded":   func(s *cluster.Status) uint64 { return s.Superseded },
		"late_rejoin":  func(s *cluster.Status) uint64 { return s.LateRejoins },
		"void_outcome": func(s *cluster.Status) uint64 { return s.VoidOutcomes },
	}},
	{clusterDesc("handed_over_values_total", "Kept values that moved with their keys to another node (given) or to this one (taken), on planned moves.", "direction"), map[string]func(*cluster.Status) uint64{
		"given": func(s *cluster.Status) uint64 { return s.HandedOver },
		"taken": func(s *cluster.Status) uint64 { return s.TakenOver },
	}},
	{clusterDesc("renewals_total", "Renewals of the node's lease.", "result"), map[string]func(*cluster.Status) uint64{
		"done":   func(s *cluster.Status) uint64 { return s.Renewals - min(s.Renewals, s.RenewalsFailed) },
		"failed": func(s *cluster.Status) uint64 { return s.RenewalsFailed },
	}},
}

var (
	recovery    = clusterDesc("recovery_seconds", "Times for which keys that had come to this node waited until it had asked the others about them.")
	certificate = clusterDesc("certificate_expiry_timestamp_seconds", "When the certificate that the node shows the others is valid no more.")
	peerStream  = clusterDesc("peer_stream", "1 while there is a stream to the other node.", "peer", "state")
	peerSeen    = clusterDesc("peer_seen_seconds", "Time since the other node's record was renewed.", "peer", "state")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range nodeMetrics {
		to <- m.desc
	}
	for _, m := range reasonMetrics {
		to <- m.desc
	}
	to <- recovery
	to <- certificate
	to <- peerStream
	to <- peerSeen
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.node.Status()
	for _, m := range nodeMetrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s), s.Name)
	}
	for _, m := range reasonMetrics {
		for reason, value := range m.reasons {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(value(&s)), s.Name, reason)
		}
	}
	to <- prometheus.MustNewConstSummary(recovery, s.Recoveries, s.RecoveryTime.Seconds(), nil, s.Name)
	if !s.CertificateEnds.IsZero() {
		to <- prometheus.MustNewConstMetric(certificate, prometheus.GaugeValue, float64(s.CertificateEnds.Unix()), s.Name)
	}
	for _, n := range s.Nodes {
		if n.Name == s.Name {
			continue
		}
		to <- prometheus.MustNewConstMetric(peerStream, prometheus.GaugeValue, number(n.Stream), s.Name, n.Name, n.State)
		to <- prometheus.MustNewConstMetric(peerSeen, prometheus.GaugeValue, n.Seen.Seconds(), s.Name, n.Name, n.State)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
