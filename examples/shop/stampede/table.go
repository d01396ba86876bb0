package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// printTable sets the two bursts side by side.
func printTable(out io.Writer, direct, corral result) {
	row := func(name string, cell func(*result) string) {
		fmt.Fprintf(out, "  %-14s%16s%16s\n", name, cell(&direct), cell(&corral))
	}
	fmt.Fprintln(out)
	row("", func(r *result) string { return r.name })
	row("requests", func(r *result) string { return fmt.Sprint(len(r.latencies)) })
	row("origin calls", func(r *result) string { return fmt.Sprint(r.originCalls) })
	row("answered", func(r *result) string { return fmt.Sprint(r.answered) })
	row("errors", func(r *result) string { return fmt.Sprint(len(r.latencies) - r.answered) })
	for _, p := range []struct {
		name string
		part float64
	}{{"p50 latency", 0.50}, {"p90 latency", 0.90}, {"p99 latency", 0.99}, {"max latency", 1}} {
		row(p.name, func(r *result) string { return round(r.percentile(p.part)) })
	}
	row("wall time", func(r *result) string { return round(r.wall) })
	for _, r := range []result{direct, corral} {
		if len(r.errors) > 0 {
			fmt.Fprintf(out, "\nErrors %s: %s\n", r.name, counts(r.errors))
		}
	}
	fmt.Fprintf(out, "\nThrough Corral: %s of the origin calls, %s of the time.\n",
		ratio(float64(corral.originCalls), float64(direct.originCalls)), ratio(corral.wall.Seconds(), direct.wall.Seconds()))
}

// round keeps three digits.
func round(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// ratio writes a part as a fraction that begins with 1.
func ratio(part, whole float64) string {
	if part <= 0 || whole <= 0 {
		return "none"
	}
	return fmt.Sprintf("1/%.0f", whole/part)
}

// counts lists how often each failure came, the most frequent first.
func counts(failures map[string]int) string {
	var names []string
	for name := range failures {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if failures[a] != failures[b] {
			return failures[b] - failures[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", failures[name], name)
	}
	return strings.Join(names, ", ")
}
