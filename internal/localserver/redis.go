package localserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A RedisServer is a Redis (or Valkey) of this machine.
type RedisServer struct {
	path    string
	dir     string
	port    int
	busPort int // of a cluster's node
	args    []string
	*process
}

// StartRedis starts a Redis whose files are in a new directory below dir. The
// args are those of redis-server's command line, for example "--maxmemory",
// "1mb", and win over what this function sets: no snapshots, no append-only
// file.
func StartRedis(ctx context.Context, dir string, args ...string) (*RedisServer, error) {
	return startRedis(ctx, dir, false, args)
}

// startRedis starts a Redis, where it is for a cluster with a second port, at
// which nodes speak to each other.
func startRedis(ctx context.Context, dir string, cluster bool, args []string) (*RedisServer, error) {
	path, err := program("redis-server")
	if err != nil {
		return nil, err
	}
	sub, err := subdirectory(dir, "redis-*")
	if err != nil {
		return nil, err
	}
	r := &RedisServer{path: path, dir: sub, args: args}
	err = onFreePort(func(port int) (err error) {
		r.port = port
		if cluster {
			if r.busPort, err = freePort(); err != nil {
				return err
			}
		}
		return r.launch(ctx)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *RedisServer) launch(ctx context.Context) error {
	args := []string{"--bind", host, "--port", strconv.Itoa(r.port), "--dir", r.dir, "--save", "", "--appendonly", "no"}
	if r.busPort != 0 {
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(r.busPort))
	}
	started, err := launch(ctx, exec.Command(r.path, append(args, r.args...)...), "Ready to accept connections", syscall.SIGKILL)
	if err != nil {
		return err
	}
	r.process = started
	return nil
}

// Addr is the address that the server listens at, for example
// "127.0.0.1:40123".
func (r *RedisServer) Addr() string { return address(r.port) }

// Stop ends the server in order.
func (r *RedisServer) Stop() error { return r.stop(syscall.SIGTERM) }

// Kill ends the server as a crash would.
func (r *RedisServer) Kill() error { return r.kill() }

// Pause stops the server from running at all: its connections stay open and
// nothing is answered, until Resume.
func (r *RedisServer) Pause() error { return r.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (r *RedisServer) Resume() error { return r.signal(syscall.SIGCONT) }

// Start starts a server again that was stopped or killed, at the same port and
// with the same files. A port that somebody has taken in between is waited for
// until ctx ends.
func (r *RedisServer) Start(ctx context.Context) error {
	if r.running() {
		return fmt.Errorf("localserver: the Redis at %s is running: Stop or Kill it before Start", r.Addr())
	}
	for {
		err := r.launch(ctx)
		if err == nil || !isTaken(err) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Commands says how often each command was called since the server started, by
// INFO commandstats: commands inside scripts included, subcommands as
// "cluster|info". HELLO and CLIENT are apart, which a connection costs and not
// a request, and INFO, which is this function's own.
func (r *RedisServer) Commands(ctx context.Context) (map[string]int64, error) {
	text, err := r.Do(ctx, "INFO", "commandstats")
	if err != nil {
		return nil, err
	}
	return parseCommandStats(text)
}

// parseCommandStats reads lines like
// "cmdstat_get:calls=7,usec=12,usec_per_call=1.71,rejected_calls=0,failed_calls=0".
func parseCommandStats(text string) (map[string]int64, error) {
	commands := make(map[string]int64)
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "cmdstat_")
		if !ok {
			continue
		}
		name, figures, _ := strings.Cut(rest, ":calls=")
		count, _, _ := strings.Cut(figures, ",")
		calls, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("localserver: INFO commandstats: line %q: %w", line, err)
		}
		switch command, _, _ := strings.Cut(name, "|"); command {
		case "hello", "client", "info":
		default:
			commands[name] = calls
		}
	}
	return commands, nil
}

// waitFor asks a server until its answer holds what it should.
func waitFor(ctx context.Context, r *RedisServer, want string, args ...string) error {
	for {
		answer, err := r.Do(ctx, args...)
		if err == nil && strings.Contains(answer, want) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("localserver: %s at %s never said %q but %q: %w", strings.Join(args, " "), r.Addr(), want, answer, errors.Join(err, context.Cause(ctx)))
		}
	}
}
