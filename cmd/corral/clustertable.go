package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/corralcache/corral/server"
)

// clusterTable is "corral cluster table".
type clusterTable struct {
	adminClient `embed:""`
}

// Run prints the partitions by owner.
func (c *clusterTable) Run(s *session) error {
	var table server.ClusterTable
	err := c.show(s, "/cluster/table", &table, func() { printTable(s.out, table) })
	return cmp.Or(err, withLease(table.Node, table.Standing))
}

func printTable(to io.Writer, table server.ClusterTable) {
	owned := map[string][]int{}
	for p, partition := range table.Partitions {
		owned[partition.Owner] = append(owned[partition.Owner], p)
	}
	fmt.Fprintf(to, "table %d with %d partitions, seen by node %s\n\n", table.Epoch, len(table.Partitions), table.Node)
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "OWNER\tOWNS\tPART\tPARTITIONS")
	for _, owner := range slices.Sorted(maps.Keys(owned)) {
		name := owner
		if name == "" {
			name = "nobody"
		}
		fmt.Fprintf(out, "%s\t%d\t%.1f%%\t%s\n", name, len(owned[owner]), 100*float64(len(owned[owner]))/float64(len(table.Partitions)), ranges(owned[owner]))
	}
	out.Flush()
}

// shownRanges is how many ranges of partitions are printed of one owner.
const shownRanges = 12

// ranges writes ascending numbers as 1-3, 7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		switch {
		case len(parts) == shownRanges:
			return strings.Join(append(parts, "…"), ", ")
		case end == i:
			parts = append(parts, fmt.Sprint(numbers[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[end]))
		}
		i = end + 1
	}
	return strings.Join(parts, ", ")
}
