package faults_test

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// A loopback is a node's ports on this machine: the same over its lives, and
// below those that systems give to outgoing connections.
type loopback struct{ peer, etcdPeer, etcdClient int }

var nextPort = 15_000 + os.Getpid()%4_000

func onLoopback(t testing.TB, _ string) hosts {
	t.Helper()
	free := func() int {
		for {
			nextPort++
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", nextPort))
			if err == nil {
				l.Close()
				return nextPort
			}
		}
	}
	return loopback{free(), free(), free()}
}

func (loopback) enter() []string         { return nil }
func (l loopback) address(string) string { return fmt.Sprintf("127.0.0.1:%d", l.peer) }
func (l loopback) etcd(string) string {
	return fmt.Sprintf("127.0.0.1:%d,%d", l.etcdPeer, l.etcdClient)
}

// shortDir is one whose name fits into a socket's address.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
