// Http measures `corral serve` beside the caches that it would replace, all
// before the same origin, in one run and on one machine, and prints a table for
// each figure it is held to.
//
// Contenders are processes of their own, which this one starts on free loopback
// ports with generated configurations, and ends, by their ids. All those of a
// row run while it is measured and are measured in turn, in rounds that begin
// with another one each time; what is printed are medians over the rounds, and
// ratios are medians of the ratios within a round. A part that is missing is an
// error: nothing is skipped in silence.
//
// Load on hits comes from wrk. All else comes from sockets that this process
// opens and warms before a burst, sends from in one thread and reads in another,
// so that those who are said to be concurrent are. Every body is compared, byte
// by byte, with what the origin must have sent, and the origin, a process of its
// own, counts its calls.
//
// What must hold whatever the machine, as the number of calls, is asserted: if
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
	"syscall"
)

func main() {
	if inChild() {
		os.Exit(serveChild(os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	rowNames := flags.String("rows", "", "measure these `rows` only, separated by commas: "+names(rows))
	rivals := flags.String("rivals", "", "measure Corral beside these `contenders` only: "+names(contenders))
	rounds := flags.Int("runs", 3, "`rounds` of each row; those that measure memory or faults have one")
	results := flags.String("json", "", "write every sample to this `file`")
	binary := flags.String("corral", "", "measure this `program` instead of one that is built from the tree")
	keep := flags.Bool("keep", false, "keep the directory of configurations and logs, and say where it is")
	quick := flags.Bool("quick", false, "a smoke run with few clients and without wrk: its figures mean nothing, its assertions hold")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	chosen, err := choose("-rows", *rowNames, rows)
	if err != nil {
		return err
	}
	allowed, err := choose("-rivals", *rivals, contenders)
	if err != nil {
		return err
	}
	if *rounds < 1 {
		return fmt.Errorf("-runs %d: measure one round or more", *rounds)
	}

	b, err := open(ctx, bench{rounds: *rounds, scale: full, corral: *binary, allowed: allowed}, *quick)
	if err != nil {
		return err
	}
	defer b.close(*keep)
	if *keep {
		fmt.Fprintln(out, "Configurations and logs:", b.dir)
	}
	report, err := b.measure(ctx, chosen, out)
	if *results != "" {
		err = errors.Join(err, report.writeJSON(*results))
	}
	return err
}
