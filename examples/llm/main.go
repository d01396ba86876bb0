// Command llm streams one paid completion to several clients. Two ask a language
// model the same at once; each reads the answer token by token while the model
// still writes it, and the model was asked once. A third, later, gets it from
// the cache.
//
// The model is a fake one, behind POST /v1/chat/completions with server-sent
// events. A POST is cacheable where a rule puts its content into the key, and
// the key of the API, so that nobody reads what another's key paid for. With
// corral serve the same is
//
//	origin: https://models.internal:8443
//	rules:
//	  - path: /v1/chat/completions
//	    methods: [POST]
//	    key: {authorization: on}
//	    max-content-bytes: 1MiB
//	    ttl: 10m
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/corralcache/corral/httpcache"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "llm:", err)
		os.Exit(1)
	}
}

// run starts a model and a cache before it, and lets clients ask.
func run(ctx context.Context, out io.Writer) error {
	m := &model{pause: 50 * time.Millisecond}
	api, stop, err := serve(m)
	if err != nil {
		return err
	}
	defer stop()
	cache, err := httpcache.NewProxy(options(api))
	if err != nil {
		return err
	}
	defer cache.Close()
	front, stop, err := serve(cache)
	if err != nil {
		return err
	}
	defer stop()
	return show(ctx, out, client{http.DefaultClient, front}, m)
}

// options are those of a cache before a model's API.
func options(api *url.URL) httpcache.Options {
	return httpcache.Options{
		Origin: api, MaxBytes: 64 << 20,
		Rules: []httpcache.Rule{{
			Path: "/v1/chat/completions", Methods: []string{http.MethodPost},
			Key:             httpcache.KeyParts{Authorization: true},
			MaxContentBytes: 1 << 20,
			TTL:             10 * time.Minute,
		}},
	}
}

// show lets two clients ask at once, and a third afterwards.
func show(ctx context.Context, out io.Writer, c client, m *model) error {
	const question = "Why is the sky blue?"
	var (
		answers  [3]answer
		errs     [3]error
		together sync.WaitGroup
	)
	for i := range 2 {
		together.Go(func() { answers[i], errs[i] = c.ask(ctx, question) })
	}
	together.Wait()
	answers[2], errs[2] = c.ask(ctx, question)
	for i, a := range answers {
		if errs[i] != nil {
			return fmt.Errorf("client %d: %w", i+1, errs[i])
		}
		fmt.Fprintf(out, "client %d: first of %d tokens after %v, all after %v (%s)\n", i+1, len(a.tokens), a.first.Round(time.Millisecond), a.last.Round(time.Millisecond), a.status)
	}
	fmt.Fprintf(out, "%q\n%d answers, %d paid for\n", answers[2].text(), len(answers), m.calls.Load())
	return nil
}

// serve starts a server on loopback.
func serve(handler http.Handler) (address *url.URL, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, server.Close, nil
}
