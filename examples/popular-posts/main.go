// Command popular-posts is the service that tutorials on caching build: the ten
// posts with the most likes, which PostgreSQL needs 150 ms to find, behind
// Redis. One flag changes how the two go together:
//
//	cache-aside             look into Redis, ask the database, write to Redis
//	tutorial-lock           the same under SET NX, sleeping while another has the lock
//	xfetch                  ask before it expires, with a probability that grows
//	stale-while-revalidate  hand out what has expired while one asks
//	single-flight           cache-aside, once a process at a time
//	corral                  Corral, with Redis as its coordinator
//	corral-stale            the same, with Options.StaleFor
//
// Each is in a file of its name, as short as it is told elsewhere. Command
// stampede, in the directory below, starts several processes of it and counts.
//
//	GET /posts/popular   the list as JSON
//	GET /healthz         whether the service is up
package main

import (
	"context"
	"encoding/json"
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

	"github.com/redis/rueidis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "popular-posts:", err)
		os.Exit(1)
	}
}

// stopTimeout is how long running requests may take after a stop.
const stopTimeout = 10 * time.Second

// run serves until ctx ends.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("popular-posts", flag.ContinueOnError)
	flags.SetOutput(errs)
	listen := flags.String("listen", "127.0.0.1:8082", "`address` to listen on; port 0 takes a free one")
	dsn := flags.String("postgres", "", "`DSN` of the database, as postgres://user@host:port/name")
	redis := flags.String("redis", "127.0.0.1:6379", "`address` of Redis")
	name := flags.String("strategy", "corral", "how the list is cached")
	ttl := flags.Duration("ttl", time.Minute, "how old the list may be")
	seed := flags.Int("seed", 0, "make the tables anew with this `number` of likes, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	posts, err := openPosts(ctx, *dsn)
	if err != nil {
		return err
	}
	defer posts.pool.Close()
	if *seed > 0 {
		return posts.seed(ctx, *seed)
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{*redis}, DisableCache: true})
	if err != nil {
		return fmt.Errorf("reach Redis at %s: %w", *redis, err)
	}
	defer client.Close()
	s := &service{address: *redis, redis: client, query: posts.topTen, ttl: *ttl}
	list, end, err := s.choose(*name)
	if err != nil {
		return err
	}
	defer end()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "popular-posts: listening on http://%s\n", listener.Addr())
	return serve(ctx, &http.Server{Handler: handler(list), ReadHeaderTimeout: 5 * time.Second}, listener)
}

func handler(list strategy) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /posts/popular", func(w http.ResponseWriter, r *http.Request) {
		posts, err := list(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(posts)
	})
	return mux
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
