// Command stampede is the demo: it starts the shop and Corral before it, sends
// a thousand requests at once for one product that nobody has asked for yet,
// first to the shop itself and then through Corral, and prints what the shop's
// own log and the clients' clocks say. Then it stays up, to be tried by hand.
//
// With -nodes 3 it starts a cluster of Corral before the shop, has the clients of
// all nodes ask for one product, kills a node while another computes what the
// first one owns, and purges a page at one node while another serves it.
//
// With -origin it starts Corral before that origin instead and sends nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/corralcache/corral/examples/internal/child"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "stampede:", err)
		os.Exit(1)
	}
}

// The addresses to use if they are free.
const (
	shopAddress  = "127.0.0.1:9000"
	frontAddress = "127.0.0.1:8080"
	adminAddress = "127.0.0.1:9090"
)

// product is the page that everybody wants.
const product = "/products/42"

type demo struct {
	corral, shop string // programs
	origin       string // before which to start Corral; empty: the shop
	logs         string // directory
	clients      int
	nodes        int // of Corral; 1: no cluster
	once         bool
	out          io.Writer
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	d := demo{out: out}
	flags := flag.NewFlagSet("stampede", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&d.corral, "corral", "bin/corral", "`program` to start as Corral")
	flags.StringVar(&d.shop, "shop", "bin/shop", "`program` to start as the shop")
	flags.StringVar(&d.origin, "origin", "", "`URL` of an origin of your own to start Corral before")
	flags.StringVar(&d.logs, "logs", "out", "`directory` for the logs of both")
	flags.IntVar(&d.clients, "clients", 1000, "requests that are sent at once")
	flags.IntVar(&d.nodes, "nodes", 1, "nodes of Corral: 1, or 3 and more")
	flags.BoolVar(&d.once, "once", false, "stop after the figures, and fail unless Corral asked the shop exactly once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if d.clients < 1 {
		return fmt.Errorf("-clients is %d: set 1 or more", d.clients)
	}
	switch {
	case d.nodes < 1 || d.nodes == 2 || d.nodes > 9:
		return fmt.Errorf("-nodes is %d: set 1, or 3 to 9: of two none could go on without the other", d.nodes)
	case d.nodes > 1 && d.origin != "":
		return fmt.Errorf("-nodes is %d and -origin is set: a cluster is shown before the shop only; leave one of the two out", d.nodes)
	}
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		return err
	}
	if d.origin != "" {
		return d.beforeOrigin(ctx)
	}
	if d.nodes > 1 {
		return d.cluster(ctx)
	}
	return d.stampede(ctx)
}

// stampede starts both, compares, and waits for the end of ctx.
func (d *demo) stampede(ctx context.Context) error {
	fmt.Fprintln(d.out, "Starting a shop with a slow database, and Corral before it …")
	shop, err := child.Start(ctx, d.logs, "shop", d.shop, "-listen", free(shopAddress))
	if err != nil {
		return err
	}
	defer shop.Stop()
	corral, err := d.startCorral(ctx, shop.URL)
	if err != nil {
		return err
	}
	defer corral.Stop()

	var results [2]result
	for i, target := range []struct{ name, url string }{{"directly", shop.URL}, {"through Corral", corral.URL}} {
		fmt.Fprintf(d.out, "%d requests at once for %s, %s …\n", d.clients, product, target.name)
		if results[i], err = compare(ctx, shop.URL, []string{target.url}, d.clients); err != nil {
			return err
		}
		results[i].name = target.name
	}
	printTable(d.out, results[0], results[1])
	if d.once {
		return check(results[1])
	}

	fmt.Fprintf(d.out, `
Both stay up. Try:

  curl -i %[1]s/products/7          # twice: a miss, then a hit; see Cache-Status
  curl -i %[1]s/cart                # private: never shared
  curl -N %[1]s/slow-stream         # in two terminals: both read the same answer as it comes
  curl %[2]s/debug/calls            # the shop's own log of what reached it
  curl %[3]s/metrics                # Corral's metrics

  logs: %[4]s, %[5]s

Ctrl-C stops both.
`, corral.URL, shop.URL, corral.Admin, corral.Log, shop.Log)
	return d.wait(ctx, corral, shop)
}

// beforeOrigin starts Corral before the user's own origin.
func (d *demo) beforeOrigin(ctx context.Context) error {
	corral, err := d.startCorral(ctx, d.origin)
	if err != nil {
		return err
	}
	defer corral.Stop()
	fmt.Fprintf(d.out, `Corral is up before %[1]s. Try:

  curl -i %[2]s/          # twice, and see Cache-Status
  curl %[3]s/metrics

  log: %[4]s

Ctrl-C stops it.
`, d.origin, corral.URL, corral.Admin, corral.Log)
	if d.once {
		return nil
	}
	return d.wait(ctx, corral)
}

func (d *demo) startCorral(ctx context.Context, origin string) (*child.Process, error) {
	return child.Start(ctx, d.logs, "corral", d.corral, "serve", "--origin", origin,
		"--listen", free(frontAddress), "--admin.listen", free(adminAddress), "--log.format", "json")
}

// wait returns nil when ctx ends and an error when a child ends before it.
func (d *demo) wait(ctx context.Context, children ...*child.Process) error {
	ended := make(chan *child.Process, len(children))
	for _, c := range children {
		go func() { <-c.Ended(); ended <- c }()
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(d.out, "\nStopping …")
		return nil
	case c := <-ended:
		return c.Failure()
	}
}

// free returns the address, or one with another port when that one is taken.
func free(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return address
}
