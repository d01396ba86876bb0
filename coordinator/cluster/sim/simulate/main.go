// Simulate runs the cluster's simulator; see package sim, and make sim.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/sim"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is 0 if no seed failed, 1 if one did, 2 if the arguments make no sense.
func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(errs)
	seeds := flags.Uint64("seeds", 10_000, "run `N` seeds")
	from := flags.Uint64("from", 0, "the first of them")
	all := flags.Bool("all", false, "go on after the first failure")
	seed := flags.Int64("seed", -1, "shrink this one seed, and print its transcript")
	whole := flags.Bool("whole", false, "with -seed: do not shrink it")
	rule := flags.String("break", "", "switch off the first rule of the protocol whose name contains this")
	if flags.Parse(args) != nil {
		return 2
	}
	if *rule != "" {
		v, known := find(*rule)
		if !known {
			fmt.Fprintf(errs, "simulate: -break is %q: name one of\n%s", *rule, names())
			return 2
		}
		sim.Break(v)
		fmt.Fprintf(out, "switched off: %v\n", v)
	}
	if *seed >= 0 {
		return replay(sim.NewPlan(uint64(*seed)), !*whole, out)
	}
	return search(*from, *seeds, *all, out)
}

// find is the first rule whose name contains a text.
func find(text string) (core.Variant, bool) {
	for _, v := range core.Variants() {
		if strings.Contains(v.String(), text) {
			return v, true
		}
	}
	return core.Whole, false
}

func names() string {
	var b strings.Builder
	for _, v := range core.Variants() {
		fmt.Fprintf(&b, "  %v\n", v)
	}
	return b.String()
}

func search(from, seeds uint64, all bool, out io.Writer) int {
	began := time.Now()
	found := sim.Search(from, seeds, runtime.GOMAXPROCS(0), func(f sim.Failure) bool {
		fmt.Fprintf(out, "seed %d (%s): %v\n", f.Seed, f.Theme, f.Violation)
		return all
	})
	fmt.Fprintf(out, "%d failures in %d seeds: %v of simulated time in %v\n%v\n",
		found.Failures, found.Seeds, found.Simulated.Round(time.Second), time.Since(began).Round(time.Second), found)
	if found.Failures > 0 {
		fmt.Fprintln(out, "shrink a seed and see its transcript with make sim SEED=…")
		return 1
	}
	return 0
}

// replay prints a plan and its transcript, and last what it breaks.
func replay(plan sim.Plan, shrink bool, out io.Writer) int {
	if shrink {
		plan = sim.Shrink(plan)
	}
	fmt.Fprintln(out, plan)
	if v := sim.Run(plan, out).Violation; v != nil {
		fmt.Fprintln(out, v)
		return 1
	}
	return 0
}
