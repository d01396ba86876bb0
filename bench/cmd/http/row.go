package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A row is one line of the table of figures.
type row struct {
	name       string
	title      string
	contenders []string // Corral first
	columns    []column
	once       bool // one round is enough: what it shows does not vary, or it takes long
	deadline   bool // contenders are given the scale's deadline for the origin
	how        func(b *bench) string
	measure    func(ctx context.Context, b *bench, p *proxy) (sample, error)
	// judge adds to a section what Corral must keep on any machine, and what
	// it is held to on a quiet one.
	judge func(b *bench, s *section)
}

// A column is a figure of a row.
type column struct{ key, head, format string }

// A sample is what one measurement gives, by column.
type sample map[string]float64

// rows are all there are, in the order of the table.
var rows = []row{
	hitRow, coldRow, spreadRow, streamRow, privateRow, failingRow, cutRow, cutUnsizedRow, leavingRow,
	hungRow, hotRow, largeRow, entriesRow, addedRow,
}

// labelled is what the command line chooses from.
type labelled interface{ label() string }

func (r row) label() string       { return r.name }
func (c contender) label() string { return c.name }

func names[T labelled](all []T) string {
	labels := make([]string, len(all))
	for i, one := range all {
		labels[i] = one.label()
	}
	return strings.Join(labels, ", ")
}

func choose[T labelled](flag, only string, all []T) ([]T, error) {
	if only == "" {
		return all, nil
	}
	var chosen []T
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return one.label() == name })
		if i < 0 {
			return nil, fmt.Errorf("%s %q: there is none of that name: choose from %s", flag, name, names(all))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
