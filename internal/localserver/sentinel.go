package localserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// MasterName is what a [Sentinel] calls its master.
const MasterName = "local"

// A Sentinel is one Redis Sentinel that watches a master and its replica and
// moves the master's part to the replica when it is gone for half a second.
type Sentinel struct {
	Master, Replica *RedisServer // as started; after a failover the replica is the master

	dir  string
	port int
	*process
}

// StartSentinel starts a master, a replica that follows it, and a sentinel that
// knows both.
func StartSentinel(ctx context.Context, dir string) (_ *Sentinel, err error) {
	path, err := program("redis-sentinel")
	if err != nil {
		return nil, err
	}
	s := &Sentinel{}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if s.dir, err = subdirectory(dir, "sentinel-*"); err != nil {
		return nil, err
	}
	if s.Master, err = StartRedis(ctx, dir, "--repl-diskless-sync-delay", "0"); err != nil {
		return nil, err
	}
	if s.Replica, err = StartRedis(ctx, dir, "--replicaof", host, strconv.Itoa(s.Master.port)); err != nil {
		return nil, err
	}
	if err := waitFor(ctx, s.Replica, "master_link_status:up", "INFO", "replication"); err != nil {
		return nil, err
	}
	err = onFreePort(func(port int) error {
		s.port = port
		return s.launch(ctx, path)
	})
	if err != nil {
		return nil, err
	}
	return s, waitFor(ctx, s.asRedis(), "slaves=1", "INFO", "sentinel")
}

func (s *Sentinel) launch(ctx context.Context, path string) (err error) {
	file := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("bind %[1]s\nport %[2]d\ndir %[3]s\nsentinel monitor %[4]s %[1]s %[5]d 1\n"+
		"sentinel down-after-milliseconds %[4]s 500\nsentinel failover-timeout %[4]s 3000\n",
		host, s.port, s.dir, MasterName, s.Master.port)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	s.process, err = launch(ctx, exec.Command(path, file), "+monitor master", syscall.SIGKILL)
	return err
}

// asRedis speaks to the sentinel, whose protocol is Redis's.
func (s *Sentinel) asRedis() *RedisServer { return &RedisServer{port: s.port} }

// Addr is the sentinel's address.
func (s *Sentinel) Addr() string { return address(s.port) }

// Failover moves the master's part to the other of the two, and returns when
// the sentinel names that one.
func (s *Sentinel) Failover(ctx context.Context) error {
	now, err := s.asRedis().Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	if err != nil {
		return err
	}
	next := s.Replica
	if now == host+"\n"+strconv.Itoa(next.port) {
		next = s.Master
	}
	// It refuses until it has heard from the replica, and while it is at one.
	if err := waitFor(ctx, s.asRedis(), "OK", "SENTINEL", "FAILOVER", MasterName); err != nil {
		return err
	}
	return waitFor(ctx, s.asRedis(), strconv.Itoa(next.port), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
}

// Stop ends the sentinel and both servers that are still there.
func (s *Sentinel) Stop() error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.stop(syscall.SIGTERM))
	}
	return errors.Join(append(errs, stopAll(s.Master, s.Replica))...)
}

// stopAll stops the servers that run.
func stopAll(servers ...*RedisServer) error {
	var errs []error
	for _, r := range servers {
		if r != nil && r.running() {
			errs = append(errs, r.Stop())
		}
	}
	return errors.Join(errs...)
}
