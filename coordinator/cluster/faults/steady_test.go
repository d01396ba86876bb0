package faults_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

// A steady is cold keys without end, each asked for at every node at one
// moment: so that its load still runs when the last one asks, and one call is all
// that it may cost, whoever owns it by then.
type steady struct {
	c      *cluster
	prefix string
	from   faults.Instant
	files  []playFile
}

// steadyRate is of requests, per second and node: in the full form, two nodes take
// the 2,000 that the table speaks of, while the third is away.
func steadyRate() float64 {
	if soak {
		return 1000
	}
	return 250
}

// steadyLoad is what each call takes: longer than the moments may differ at which
// nodes make the same request.
const steadyLoad = 60 * time.Millisecond

func (c *cluster) steady() *steady {
	c.keys++
	c.origin.slow = steadyLoad
	s := &steady{c: c, prefix: fmt.Sprintf("s%d.", c.keys), from: faults.Now()}
	for _, n := range c.nodes {
		s.play(n)
	}
	return s
}

func (s *steady) play(n *node) {
	path := filepath.Join(s.c.dir, fmt.Sprintf("%sreads%d", s.prefix, len(s.files)))
	s.files = append(s.files, playFile{n.name, path})
	n.send(faults.Command{Do: faults.Begin, Patience: patience, Play: &faults.Play{Prefix: s.prefix, From: s.from, Rate: steadyRate(), Path: path}}).must(s.c.t)
}

// rest is what a load balancer does before it lets a node be stopped.
func (n *node) rest() {
	n.send(faults.Command{Do: faults.Rest, Patience: 2 * patience}).must(n.cluster.t)
}

// end rests everywhere, and judges what was asked.
func (s *steady) end(t testing.TB, r *report) {
	t.Helper()
	for _, n := range s.c.nodes {
		n.rest()
	}
	calls := s.c.origin.byKey(s.prefix)
	for _, file := range s.files {
		s.read(t, r, file, calls)
	}
	again := 0
	for _, all := range calls {
		if len(all) > 1 && all[1].call > all[0].answer {
			// Who asks once the value has landed may find that its owner has changed.
			// What lands while values are handed over stays behind.
			again++
			all = all[1:]
		}
		if r.charge(all, 1); len(all) > 1 {
			for _, n := range s.c.nodes {
				t.Logf("what %s said around that:\n%s", n.name, n.logAround(all[1].began))
			}
		}
	}
	if r.again += again; again > len(calls)/mostAgain {
		t.Errorf("%d of %d values were computed again once they had landed", again, len(calls))
	}
}

// mostAgain is one value in so many that may have landed just when its owner
// changed.
const mostAgain = 1000

// read counts what a node was told, and how long it waited besides the load.
func (s *steady) read(t testing.TB, r *report, from playFile, calls map[string][]call) {
	t.Helper()
	file, err := os.Open(from.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var read faults.Read
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			t.Fatalf("%s: %q: %v", from.path, lines.Text(), err)
		}
		if read.Error != "" {
			r.answered(read.Key, 1, faults.Answer{Errors: map[string]int{read.Error: 1}})
			continue
		}
		r.answered(read.Key, 1, faults.Answer{Values: map[string]int{read.Value: 1}})
		waited := read.Return.Sub(read.Call)
		_, _, number, _ := parseValue(read.Value)
		for _, c := range calls[read.Key] {
			if c.number == number {
				waited -= max(min(read.Return, c.answer).Sub(max(read.Call, c.call)), 0)
			}
		}
		r.took("added to a request", waited)
	}
}

// withEtcd gives a cluster an etcd of its own, in the test: its nodes come and go,
// and no member of etcd with them.
func withEtcd(c *cluster) {
	host := onLoopback(c.t, "etcd").(loopback)
	peer, client := fmt.Sprintf("127.0.0.1:%d", host.etcdPeer), fmt.Sprintf("127.0.0.1:%d", host.etcdClient)
	server, err := etcd.Start(c.t.Context(), etcd.Embedded{
		Dir: filepath.Join(c.dir, "etcd"), Name: "etcd", Peer: peer, Client: client,
		Members: map[string]string{"etcd": peer}, New: true, Token: "faults", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(server.Stop)
	c.etcd = client
}
