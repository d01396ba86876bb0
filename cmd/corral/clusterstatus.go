package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/corralcache/corral/server"
)

// clusterStatus is "corral cluster status".
type clusterStatus struct {
	adminClient `embed:""`
}

// Run prints what a node knows.
func (c *clusterStatus) Run(s *session) error {
	var status server.ClusterStatus
	err := c.show(s, "/cluster/status", &status, func() { printStatus(s.out, status) })
	return cmp.Or(err, withLease(status.Node, status.Standing))
}

func printStatus(to io.Writer, status server.ClusterStatus) {
	lease := fmt.Sprintf("for %v more; %v at least when it was last extended", milliseconds(status.LeaseMS), milliseconds(status.LeaseLeastMS))
	if !status.Standing {
		lease = "none: this node answers and grants nothing"
	}
	owned := fmt.Sprintf("%d of %d", status.Owned, status.Partitions)
	if status.Draining {
		owned += ", draining"
	}
	fmt.Fprintf(to, "cluster    %s, seen by node %s\n", status.Cluster, status.Node)
	fmt.Fprintf(to, "lease      %s\n", lease)
	fmt.Fprintf(to, "applied    revision %d, table %d; %d revisions behind, heard of any %v ago\n", status.Revision, status.Epoch, status.Behind, milliseconds(status.HeardMS))
	fmt.Fprintf(to, "partitions %s\n", owned)
	fmt.Fprintf(to, "loads      %d here, %d granted, %d callers wait\n", status.Held, status.Granted, status.Waiting)
	fmt.Fprintf(to, "purges     %d not acknowledged yet\n", status.Unacknowledged)
	if ends := status.CertificateEnds; ends != nil {
		fmt.Fprintf(to, "TLS        certificate until %s\n", ends.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(to)
	printNodes(to, status.Node, status.Nodes)
	fmt.Fprintln(to)
	for _, what := range slices.Sorted(maps.Keys(status.Counts)) {
		fmt.Fprintf(to, "%-21s %d\n", what, status.Counts[what])
	}
}

// printNodes prints what a node knows of all.
func printNodes(to io.Writer, self string, nodes []server.ClusterNode) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tSTATE\tSTREAM\tSEEN\tOWNS\tWEIGHT\tADDRESS\tZONE")
	for _, n := range nodes {
		stream := map[bool]string{true: "open", false: "none"}[n.Stream]
		if n.Name == self {
			stream = "itself"
		}
		fmt.Fprintf(table, "%s/%d\t%s\t%s\t%v ago\t%d\t%d\t%s\t%s\n", n.Name, n.Incarnation, n.State, stream, milliseconds(n.SeenMS), n.Owned, n.Weight, n.Address, n.Zone)
	}
	table.Flush()
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
