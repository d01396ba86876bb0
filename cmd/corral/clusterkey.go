package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"

	"github.com/corralcache/corral/server"
)

// clusterKey is "corral cluster partitions".
type clusterKey struct {
	adminClient `embed:""`
	Of          string `arg:"" name:"key" help:"Address, with scheme and host, as https://www.example.com/news, or a key as the cache has it."`
}

// Run prints where a key is.
func (c *clusterKey) Run(s *session) error {
	var key server.ClusterKey
	err := c.show(s, "/cluster/partitions?key="+url.QueryEscape(c.Of), &key, func() { printKey(s.out, key) })
	switch {
	case err != nil:
		return err
	case key.Owner == "":
		return fmt.Errorf("corral: nobody owns %q at the moment: try again", key.Key)
	}
	return withLease(key.Node, key.Standing)
}

func printKey(to io.Writer, key server.ClusterKey) {
	owner, load := "nobody", "not known at node "+key.Node+": ask the owner"
	if key.Owner != "" {
		owner = fmt.Sprintf("%s/%d", key.Owner, key.Incarnation)
	}
	switch {
	case key.Load != nil:
		load = fmt.Sprintf("by %s, %d callers wait", cmp.Or(key.Load.Holder, "nobody yet"), key.Load.Waiters)
		if key.Load.Adopted {
			load += ", granted by an earlier owner"
		}
	case key.Owner == key.Node:
		load = "none"
	}
	fmt.Fprintf(to, "key        %s\n", key.Key)
	fmt.Fprintf(to, "partition  %d, generation %d\n", key.Partition, key.Generation)
	fmt.Fprintf(to, "owner      %s, seen by node %s\n", owner, key.Node)
	fmt.Fprintf(to, "load       %s\n", load)
}
