package peer

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// echoVariable makes the test binary a node that answers, for benchmarks.
const echoVariable = "CORRAL_PEER_ECHO"

func TestMain(m *testing.M) {
	if os.Getenv(echoVariable) == "" {
		os.Exit(m.Run())
	}
	e, address, err := newEcho("b")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	e.SetPeers(map[string]Place{"a": {"127.0.0.1:1", 1}}) // a calls
	fmt.Println(address)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	e.Close()
}

// newEcho starts a node on loopback.
func newEcho(name string) (*echo, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	e := &echo{opened: make(chan uint64, 1), payload: make([]byte, 1024)}
	for i := range e.waiting {
		e.waiting[i] = make(chan core.Message, 1)
	}
	if e.Transport, err = New(Config{Listener: listener}); err != nil {
		return nil, "", err
	}
	err = e.Start(Member{Self: core.Node{Name: name, Incarnation: 1}, Cluster: "herd", Partitions: 1024}, e)
	return e, listener.Addr().String(), err
}

// inAnotherProcess starts a node that answers, and returns where.
func inAnotherProcess(b *testing.B) string {
	b.Helper()
	other := exec.Command(os.Args[0], "-test.run=^$")
	other.Env = append(os.Environ(), echoVariable+"=1")
	stdin, err := other.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := other.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := other.Wait(); err != nil {
			b.Error(err)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}
