// Store measures what Corral does with a Redis and with a disk beside what
// others do with them, in one run and on one machine, and prints a table for
// each figure that issue 6 holds it to.
//
// Who computes: a contender is four processes of this program and a Redis of
// their own, so that no other contender's connections are in its count of
// commands. Callers are goroutines of the four; connections are open, scripts are
// known and code is warm before anything is measured. Contenders are Corral with
// coordinator/redislock and with coordinator/marker, the lock that tutorials show,
// once as they show it and once with waiters that look more often, and
// rueidisaside. Commands are the
// difference of INFO commandstats before and after: those inside scripts
// included, HELLO, CLIENT and INFO apart.
//
// What survives: store/disk beside bare Pebble and bbolt, each in a process of
// its own.
//
// Contenders take turns in rounds that begin with another one each time; what is
// printed are medians over the rounds, and ratios are medians of the ratios within
// a round. What must hold whatever the machine, as the number of loads, is
// asserted: if it does not hold, the command fails. No time is asserted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/rounds"
)

func main() {
	if child.Role() != "" {
		os.Exit(serveChild(os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	chosen, o, err := rounds.Parse(flags, rows, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	b := &bench{rounds: o.Runs, scale: full, alone: o.Alone, fleets: make(map[string]*fleet)}
	if o.Quick {
		b.scale = smoke
	}
	if b.dir, err = os.MkdirTemp("", "corral-bench-store-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	defer b.close()
	fmt.Fprintln(out, rounds.Describe(time.Now(), b.rounds, b.quick))
	return rounds.Measure(ctx, b, chosen, out)
}

// serveChild is main in a process of this program that serves another one.
func serveChild(log io.Writer) int {
	switch role := child.Role(); role {
	case "shop":
		return child.Serve(new(Shop), log)
	case "disk":
		return child.Serve(new(Disk), log)
	default:
		fmt.Fprintf(log, "role %q: there is no such child\n", role)
		return 1
	}
}

// Nothing is what a method of a child takes or gives that takes or gives
// nothing.
type Nothing = child.Nothing
