// Command shop is a small web shop over SQLite, the origin of Corral's demo. Its
// product page runs a query that is slow because it reads all orders, and the
// database lets only a few queries run at once, as databases do.
//
//	GET  /products/{id}           JSON; public, max-age=60; ETag; slow, and with ?slow=4s slower
//	PUT  /products/{id}/price     the price in cents
//	GET  /products/{id}/reviews   JSON; public, max-age=10; fast
//	GET  /cart                    JSON; private, sets a session cookie
//	POST /login                   sets a session cookie
//	GET  /slow-stream             text that grows by a line at a time
//	GET  /healthz                 200 while the database answers
//	GET  /debug/calls             the origin's own log of the calls above
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// stopTimeout is how long running requests may take after a stop.
const stopTimeout = 10 * time.Second

// run serves until ctx ends. It prints the address that it listens on to out
// as soon as it answers, and its log to logs.
func run(ctx context.Context, args []string, out, logs io.Writer) error {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(logs)
	listen := flags.String("listen", "127.0.0.1:9000", "`address` to listen on; port 0 takes a free one")
	path := flags.String("db", "", "database `file`, seeded if it is new (default: one in a temporary directory)")
	orders := flags.Int("orders", defaultOrders, "orders in a new database; the slow query reads them all")
	maxQueries := flags.Int("max-queries", 4, "queries that run at once; more wait")
	queueTimeout := flags.Duration("queue-timeout", 10*time.Second, "how long a query may wait before the answer is 503")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *maxQueries < 1 {
		return fmt.Errorf("-max-queries is %d: set 1 or more", *maxQueries)
	}

	if *path == "" {
		dir, err := os.MkdirTemp("", "corral-shop-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*path = dir + "/shop.db"
	}
	db, err := openDB(ctx, *path, *orders)
	if err != nil {
		return fmt.Errorf("open database %q: %w", *path, err)
	}
	defer db.Close()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(logs, nil))
	s := &shop{db: db, slots: make(chan struct{}, *maxQueries), queueTimeout: *queueTimeout, lineEvery: 200 * time.Millisecond, log: log}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	fmt.Fprintf(out, "shop: listening on http://%s\n", listener.Addr())
	log.Info("listening", "address", listener.Addr().String(), "db", *path)
	return serve(ctx, server, listener)
}

// serve runs the server until ctx ends and then lets running requests finish.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
