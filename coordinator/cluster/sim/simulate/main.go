// Simulate runs the cluster's simulator: see make sim.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/sim"
)

func main() { os.Exit(run()) }

func run() int {
	seeds := flag.Uint64("seeds", 10_000, "how many seeds to run")
	first := flag.Uint64("from", 0, "the first of them")
	seed := flag.Int64("seed", -1, "replay this one, with its transcript")
	variant := flag.String("break", "", "switch off this rule of the protocol (a number, or part of its name)")
	whole := flag.Bool("whole", false, "with -seed: do not shrink")
	keep := flag.Bool("all", false, "go on after a failure")
	rule := flag.String("rule", "", "only failures of this rule")
	flag.Parse()
	if *variant != "" {
		sim.Break(find(*variant))
	}
	if *seed >= 0 {
		return replay(sim.NewPlan(uint64(*seed)), !*whole)
	}
	began := time.Now()
	found := sim.Search(*first, *seeds, runtime.GOMAXPROCS(0), func(f sim.Failure) bool {
		if *rule != "" && f.Violation.Rule != *rule {
			return true
		}
		fmt.Printf("seed %d (%s): %v\n", f.Seed, f.Theme, f.Violation)
		return *keep
	})
	fmt.Printf("%d seeds, %v of simulated time in %v: %d failures\n", found.Seeds, found.Simulated.Round(time.Second), time.Since(began).Round(time.Millisecond), found.Failures)
	fmt.Println(found)
	if found.Failures > 0 {
		return 1
	}
	return 0
}

func find(name string) core.Variant {
	for _, v := range core.Variants() {
		if fmt.Sprint(uint8(v)) == name || strings.Contains(v.String(), name) {
			return v
		}
	}
	fmt.Fprintf(os.Stderr, "no such rule: %s; there are\n", name)
	for _, v := range core.Variants() {
		fmt.Fprintf(os.Stderr, "%4d %v\n", v, v)
	}
	os.Exit(2)
	return 0
}

func replay(plan sim.Plan, shrink bool) int {
	if shrink {
		plan = sim.Shrink(plan)
	}
	fmt.Println(plan)
	if v := sim.Run(plan, os.Stdout).Violation; v != nil {
		fmt.Println(v)
		return 1
	}
	return 0
}
