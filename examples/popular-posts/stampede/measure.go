package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/internal/child"
)

// A scene is how callers come.
type scene struct {
	title   string
	warm    bool          // the list is in the cache, and expires when half of the callers have come
	arrival time.Duration // between one caller and the next; 0: all at once
}

// measure starts processes of the service with one strategy, sends them the
// callers of a scene, and counts what that came to. Processes begin with
// nothing, and so does Redis.
func (d *demo) measure(ctx context.Context, strategy string, scene scene) (*result, error) {
	if _, err := d.redis.Do(ctx, "FLUSHALL"); err != nil {
		return nil, err
	}
	queries, err := d.queries(ctx)
	if err != nil {
		return nil, err
	}
	services, err := d.startServices(ctx, strategy)
	defer stop(services)
	if err != nil {
		return nil, err
	}
	callers, err := newCallers(ctx, services, d.callers, d.giveUp)
	defer callers.close()
	if err != nil {
		return nil, err
	}
	if scene.warm {
		if _, err := callers[0].ask(ctx); err != nil {
			return nil, err
		}
		queries++ // its own
		pause(ctx, d.ttl*3/4)
	}
	commands, err := d.commands(ctx)
	if err != nil {
		return nil, err
	}
	r := callers.come(ctx, scene.arrival)
	after, err := d.commands(ctx)
	if err != nil {
		return nil, err
	}
	r.commands = after - commands
	callers.close()
	stop(services)
	r.queries, err = d.queries(ctx)
	r.queries -= queries
	return r, err
}

// pause waits for a time, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (d *demo) startServices(ctx context.Context, strategy string) (services []*child.Process, err error) {
	for i := range d.processes {
		s, err := child.Start(ctx, d.logs, fmt.Sprintf("popular-posts-%d", i+1), d.service, "-listen", "127.0.0.1:0",
			"-postgres", d.postgres.DSN(), "-redis", d.redis.Addr(), "-strategy", strategy, "-ttl", d.ttl.String())
		if err != nil {
			return services, err
		}
		services = append(services, s)
	}
	return services, nil
}

// stop stops processes of the service; those that have ended stay so.
func stop(services []*child.Process) {
	var stopping sync.WaitGroup
	for _, s := range services {
		stopping.Go(s.Stop)
	}
	stopping.Wait()
}
