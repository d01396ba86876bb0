// Command aggregate serves product pages that are put together from three
// other services, through one cache of pages and parts.
//
//	GET  /pages/{sku}    the page as JSON
//	POST /changed/{sku}  forgets the page and its parts
//
// However many ask for a page, each service is asked once for its part of it. A
// page that is loaded while one of its parts is being loaded for another reason
// joins that load. The loads of the parts run in the page's slot of
// Options.MaxLoads, so that pages that wait for parts never keep the parts from
// being loaded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
		fmt.Fprintln(os.Stderr, "aggregate:", err)
		os.Exit(1)
	}
}

// stopTimeout is how long running requests may take after a stop.
const stopTimeout = 10 * time.Second

// run serves until ctx ends. Without services of the user's it starts its own.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("aggregate", flag.ContinueOnError)
	flags.SetOutput(errs)
	listen := flags.String("listen", "127.0.0.1:8081", "`address` to listen on; port 0 takes a free one")
	services := flags.String("services", "", "base `URL` of a server with /products/{sku}, /stock/{sku} and /reviews/{sku} (default: one of its own)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *services == "" {
		own, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: slowServices()}
		go server.Serve(own)
		defer server.Close()
		*services = "http://" + own.Addr().String()
	}
	pages, err := newPages(*services)
	if err != nil {
		return err
	}
	defer pages.cache.Close()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "aggregate: try curl http://%s/pages/42\n", listener.Addr())
	server := &http.Server{Handler: pages.handler(), ReadHeaderTimeout: 5 * time.Second}
	return serve(ctx, server, listener)
}

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
		return errors.Join(err, server.Close())
	}
	return nil
}

// slowServices stands for three services of other teams.
func slowServices() http.Handler {
	mux := http.NewServeMux()
	for path, service := range map[string]struct {
		takes time.Duration
		body  string
	}{
		"GET /products/{sku}": {80 * time.Millisecond, `{"name":"Enamel mug no. %s","price_cents":1299}`},
		"GET /stock/{sku}":    {40 * time.Millisecond, `{"sku":%q,"pieces":7}`},
		"GET /reviews/{sku}":  {120 * time.Millisecond, `[{"stars":5,"text":"%s? Mine too."}]`},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(service.takes)
			fmt.Fprintf(w, service.body, r.PathValue("sku"))
		})
	}
	return mux
}
