// Command stampede shows what strategies of caching cost a database: it starts
// PostgreSQL, Redis and several processes of the service in the directory above,
// and for each strategy sends a thousand callers, first all at once for a list
// that nobody has asked for yet, then one after another while the list expires.
// PostgreSQL says how many queries it began, Redis how many commands it was
// given, and the callers how long they waited and how old what they got was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "stampede:", err)
		os.Exit(1)
	}
}

type demo struct {
	service    string // program
	logs       string // directory
	strategies []string
	processes  int // of the service
	callers    int
	likes      int           // rows that a query reads
	ttl        time.Duration // of the list
	giveUp     time.Duration // of a caller
	out        io.Writer

	*backends
}

// all strategies, in the order in which tutorials come to them.
const all = "cache-aside,tutorial-lock,xfetch,stale-while-revalidate,single-flight,corral,corral-stale"

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	d := demo{out: out}
	flags := flag.NewFlagSet("stampede", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&d.service, "service", "bin/popular-posts", "`program` to start as the service")
	flags.StringVar(&d.logs, "logs", "out", "`directory` for the logs of the service")
	strategies := flags.String("strategies", all, "`names` of strategies, with commas between them")
	flags.IntVar(&d.processes, "processes", 4, "processes of the service")
	flags.IntVar(&d.callers, "callers", 1000, "callers of each strategy")
	flags.IntVar(&d.likes, "likes", 400_000, "rows that a query reads")
	flags.DurationVar(&d.ttl, "ttl", 4*time.Second, "how old the list may be")
	flags.DurationVar(&d.giveUp, "give-up", 10*time.Second, "how long a caller waits")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for name, n := range map[string]int{"processes": d.processes, "callers": d.callers, "likes": d.likes} {
		if n < 1 {
			return fmt.Errorf("-%s is %d: set 1 or more", name, n)
		}
	}
	d.strategies = strings.Split(*strategies, ",")
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "popular-posts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(out, "Starting PostgreSQL and Redis …")
	if d.backends, err = startBackends(ctx, dir); err != nil {
		return err
	}
	defer d.backends.stop()
	return d.compare(ctx)
}

// compare fills the table of posts and shows every strategy in both scenes.
func (d *demo) compare(ctx context.Context) error {
	fmt.Fprintf(d.out, "Filling a table of %d likes …\n", d.likes)
	if err := d.run(ctx, "-seed", fmt.Sprint(d.likes)); err != nil {
		return err
	}
	one := *d
	one.callers, one.processes = 1, 1
	alone, err := one.measure(ctx, "cache-aside", scene{})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "One query of one caller takes %v. There are %d processes, and callers give up after %v.\n", round(alone.percentile(100)), d.processes, d.giveUp)
	var wrong []error
	for _, scene := range []scene{{
		title:   fmt.Sprintf("%d callers at once, and nothing in Redis", d.callers),
		arrival: 0,
	}, {
		title:   fmt.Sprintf("%d callers over %v, and the list expires in the middle", d.callers, d.ttl/2),
		warm:    true,
		arrival: d.ttl / 2 / time.Duration(d.callers),
	}} {
		fmt.Fprintf(d.out, "\n%s:\n\n", scene.title)
		printHead(d.out)
		for _, strategy := range d.strategies {
			r, err := d.measure(ctx, strategy, scene)
			if err != nil {
				return fmt.Errorf("%s: %w", strategy, err)
			}
			r.print(d.out, strategy)
			wrong = append(wrong, r.check(strategy, d.callers))
		}
	}
	return errors.Join(wrong...)
}

// run runs the service's program to its end.
func (d *demo) run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, d.service, append(args, "-postgres", d.postgres.DSN())...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", d.service, err, out)
	}
	return nil
}
