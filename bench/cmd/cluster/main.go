// Cluster measures one owner per key on processes of their own, beside other
// ways to ask another process, in one run and on one machine, and prints a table
// for each figure that the cluster is held to.
//
// A fleet is several processes of this program on loopback, each a node of one
// cluster with a cache, etcd inside the first three. In the same processes run
// the servers of the rivals: gRPC calls, one gRPC stream that all calls share,
// answers to NATS requests (the NATS server is a process of its own), and
// groupcache. Callers are goroutines of a node; connections are open and warm
// before anything is measured. Contenders take turns in rounds that begin with
// another one each time; what is printed are medians over the rounds, and ratios
// are medians of the ratios within a round.
//
// What must hold whatever the machine, as the number of loads, is asserted: if it
// does not hold, the command fails. No time is asserted.
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
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	profiles := flags.String("profiles", "", "write processor profiles of the asking node and of the owner to this `directory`")
	keep := flags.Bool("keep", false, "keep the directories and logs of the nodes, and say where they are")
	chosen, o, err := rounds.Parse(flags, rows, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	b := &bench{rounds: o.Runs, scale: full, alone: o.Alone, profiles: *profiles}
	if o.Quick {
		b.scale = smoke
	}
	if b.dir, err = os.MkdirTemp("", "corral-bench-cluster-"); err != nil {
		return err
	}
	if *keep {
		fmt.Fprintln(out, "Directories and logs:", b.dir)
	} else {
		defer os.RemoveAll(b.dir)
	}
	defer b.close()
	fmt.Fprintln(out, rounds.Describe(time.Now(), b.rounds, b.quick))
	return rounds.Measure(ctx, b, chosen, out)
}
