package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A row is one line of the table of figures.
type row struct {
	name, title string
	columns     []column
	how         func(b *bench) string
	measure     func(ctx context.Context, b *bench, s *section) error
	// judge adds what must hold on any machine, and what is held on a quiet one.
	judge func(b *bench, s *section)
}

// A column is a figure of a row. With ratio, the first contender's is also
// divided by each rival's.
type column struct {
	key, head, format string
	ratio             bool
}

// A sample is what one measurement gives, by column.
type sample map[string]float64

// rows are all there are, in the order of their measurement. The last ones need
// clusters of their own.
var rows = []row{oneRow, crowdRow, stampedeRow, cycleRow, stalledRow, writesRow, mirrorRow, invalidateRow, killedRow, stoppedRow, movesRow, memoryRow, sizesRow}

func rowNames() string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return strings.Join(names, ", ")
}

func choose(only string) ([]row, error) {
	if only == "" {
		return rows, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-rows %q: there is none of that name: choose from %s", name, rowNames())
		}
		chosen = append(chosen, rows[i])
	}
	return chosen, nil
}
