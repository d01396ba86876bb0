// Package localserver starts real Redis and PostgreSQL servers on this machine,
// for tests, benchmarks and examples.
//
// Promised: a server listens on loopback only, at a port that the kernel gave
// and that it keeps for its life, Start after Kill included; it has answered
// that it is ready when its function returns; it ends when it is told to and,
// on Linux, when the process that started it dies, however that dies; its
// files are under the directory that the caller names. A program that is
// missing is an error that says how to get it, never a reason to skip.
//
// Not promised: anything about data after Kill beyond what the server itself
// promises with the arguments it was given. Redis writes nothing to disk
// unless its arguments say so.
//
// The caller stops what it started, or uses [Redis] and [Postgres] of a test,
// which do. A value is used by one goroutine at a time, but for Do, Commands
// and addresses.
package localserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// where lists, for each program, the names that it may have (Valkey's programs
// take the arguments of Redis's) and where Debian puts it besides the PATH.
var where = map[string][]string{
	"redis-server":   {"redis-server", "valkey-server"},
	"redis-sentinel": {"redis-sentinel", "valkey-sentinel"},
	"postgres":       {"postgres", "/usr/lib/postgresql/*/bin/postgres"},
	"initdb":         {"initdb", "/usr/lib/postgresql/*/bin/initdb"},
}

// remedy is the argument of scripts/need that installs a program.
var remedy = map[string]string{"redis-server": "redis-server", "redis-sentinel": "redis-sentinel", "postgres": "postgres", "initdb": "postgres"}

// program finds a program, of several versions the last.
func program(name string) (string, error) {
	for _, candidate := range where[name] {
		if !filepath.IsAbs(candidate) {
			if path, err := exec.LookPath(candidate); err == nil {
				return path, nil
			}
			continue
		}
		found, err := filepath.Glob(candidate)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", fmt.Errorf("localserver: %s is missing: run scripts/need %s as root on Debian, or install it and put it on the PATH", name, remedy[name])
}

// subdirectory makes a directory for a server below the caller's.
func subdirectory(dir, pattern string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, pattern)
}
