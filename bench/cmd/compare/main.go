// Compare measures Corral beside the Go caches that it would replace, in one
// run and on one machine, and prints a table for each figure it is held to.
//
// Contenders take turns within each round, so that a slow second of the machine
// hits all of them; what is printed are medians over the rounds, and ratios are
// medians of the ratios within a round. A difference below 15 % is called
// noise. Where memory is measured, each contender has a process of its own.
//
// What must hold whatever the machine, as the number of loads, is asserted: if
// it does not hold for Corral, the command fails. No time is asserted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

// procs is GOMAXPROCS of every measurement.
const procs = 2

func main() {
	if inChild() {
		os.Exit(serveChild(os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// A row is one figure.
type row struct {
	name    string
	measure func(ctx context.Context, quick bool) (section, error)
}

var rows = []row{
	{"hit", measureHits},
	{"miss", measureMisses},
	{"stampede", measureStampede},
	{"failing", measureFailing},
	{"hung", measureHung},
	{"overhead", measureOverhead},
	{"bound", measureBound},
	{"flow", measureFlow},
	{"waiters", measureWaiters},
}

func rowNames() []string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	return names
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	only := flags.String("row", "", "measure these rows only, separated by commas: "+strings.Join(rowNames(), ", "))
	quick := flags.Bool("quick", false, "a smoke run of less than a minute: its figures mean nothing, its assertions hold")
	markdown := flags.String("markdown", "", "write the tables to this `file` as well, for docs/benchmarks.md")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))

	r := report{head: describeMachine(time.Now()), quick: *quick}
	fmt.Fprint(out, r.textHead())
	var broken []error
	for _, row := range chosen {
		started := time.Now()
		s, err := row.measure(ctx, *quick)
		if err != nil {
			broken = append(broken, fmt.Errorf("row %s: %w", row.name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.took = time.Since(started)
		fmt.Fprint(out, s.text())
		r.sections = append(r.sections, s)
	}
	if *markdown != "" {
		broken = append(broken, os.WriteFile(*markdown, []byte(r.markdown()), 0o644))
	}
	return errors.Join(broken...)
}

func choose(only string) ([]row, error) {
	if only == "" {
		return rows, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--row %q: there is no such row: choose from %s", name, strings.Join(rowNames(), ", "))
		}
		chosen = append(chosen, rows[i])
	}
	return chosen, nil
}
