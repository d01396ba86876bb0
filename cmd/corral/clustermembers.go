package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/corralcache/corral/server"
)

// clusterMembers is "corral cluster members".
type clusterMembers struct {
	adminClient `embed:""`
}

// Run prints the nodes and the members of etcd. Where these have no leader, it
// fails.
func (c *clusterMembers) Run(s *session) error {
	var members server.ClusterMembers
	err := c.show(s, "/cluster/members", &members, func() { printMembers(s.out, members) })
	return cmp.Or(err, withLeader(members), withLease(members.Node, members.Standing))
}

// withLeader is the error of an etcd without a leader: nothing can be written.
func withLeader(members server.ClusterMembers) error {
	if members.EtcdError != "" {
		return fmt.Errorf("corral: node %s reaches no member of etcd: %s", members.Node, members.EtcdError)
	}
	voters, answer := 0, 0
	for _, m := range members.Etcd {
		switch m.Role {
		case server.RoleLeader, server.RoleFollower:
			return nil
		case server.RoleNoLeader:
			answer++
		}
		if m.Role != server.RoleLearner {
			voters++
		}
	}
	return fmt.Errorf("corral: etcd has no leader: %d of its %d members answer, %d are needed: start the others, or let them reach each other", answer, voters, voters/2+1)
}

func printMembers(to io.Writer, members server.ClusterMembers) {
	printNodes(to, members.Node, members.Nodes)
	if len(members.Etcd) == 0 {
		return
	}
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ETCD\tROLE\tANSWERED IN\tFILE\tVERSION\tFOR MEMBERS\tFOR NODES")
	for _, m := range members.Etcd {
		took, size := fmt.Sprint(milliseconds(m.TookMS)), fmt.Sprintf("%.1fMiB", float64(m.Bytes)/(1<<20))
		if m.Role == server.RoleUnreachable {
			took, size = "-", "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(m.Name, "?"), m.Role, took, size, cmp.Or(m.Version, "-"), m.Peer, cmp.Or(m.Client, "-"))
	}
	table.Flush()
	for _, m := range members.Etcd {
		if alarms := slices.DeleteFunc(slices.Clone(m.Alarms), func(a string) bool { return a == "" }); len(alarms) > 0 {
			fmt.Fprintf(to, "%s raises %s\n", cmp.Or(m.Name, m.Peer), strings.Join(alarms, ", "))
		}
		if m.Cause != "" {
			fmt.Fprintf(to, "%s: %s\n", cmp.Or(m.Name, m.Peer), m.Cause)
		}
	}
}
