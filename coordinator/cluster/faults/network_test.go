package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Ports are the same in every namespace.
const (
	nodePort       = 7000
	etcdClientPort = 2379
	etcdPeerPort   = 2380
)

// A network is one namespace a node, and one with a bridge between them. Nothing
// of it is in the namespace of the machine.
type network struct {
	t      testing.TB
	prefix string // of the namespaces' names; has the process in it
}

const namespacePrefix = "corral-faults-"

// newNetwork begins one, or skips the test where that may not be.
func newNetwork(t testing.TB) *network {
	t.Helper()
	if testing.Short() || underRace {
		t.Skip("see start")
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, command := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Fatalf("%s is missing: scripts/need %[1]s installs it", command)
		}
	}
	sweepNamespaces()
	w := &network{t: t, prefix: fmt.Sprintf("%s%d-", namespacePrefix, os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", w.prefix+"may").CombinedOutput(); err != nil {
		t.Skipf("a root that may not make network namespaces: %v: %s", err, out)
	}
	w.run("ip", "netns", "del", w.prefix+"may")
	return w
}

// bridged is a network whose nodes are on a bridge.
func bridged(t testing.TB) *network {
	t.Helper()
	w := newNetwork(t)
	w.add("hub")
	w.run("ip", "-n", w.prefix+"hub", "link", "add", "bridge", "type", "bridge")
	w.run("ip", "-n", w.prefix+"hub", "link", "set", "bridge", "up")
	return w
}

// sweepNamespaces removes what a killed test process has left.
func sweepNamespaces() {
	list, _ := os.ReadDir("/run/netns")
	for _, entry := range list {
		rest, ours := strings.CutPrefix(entry.Name(), namespacePrefix)
		pid, err := strconv.Atoi(strings.Split(rest, "-")[0])
		if ours && err == nil && syscall.Kill(pid, 0) != nil {
			_ = exec.Command("ip", "netns", "del", entry.Name()).Run() // the next test tries again
		}
	}
}

// add makes a namespace that is gone after the test.
func (w *network) add(name string) {
	w.t.Helper()
	w.run("ip", "netns", "add", w.prefix+name)
	w.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", w.prefix+name).CombinedOutput(); err != nil {
			w.t.Errorf("a namespace is left: %v: %s", err, out)
		}
	})
	w.run("ip", "-n", w.prefix+name, "link", "set", "lo", "up")
}

func (w *network) run(command ...string) {
	w.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
}

// host makes a node's namespace.
func (w *network) host(_ testing.TB, name string) hosts {
	w.t.Helper()
	h := namespace{network: w, name: w.prefix + name, ip: fmt.Sprintf("10.77.0.%d", name[0]-'a'+1)}
	w.add(name)
	w.run("ip", "-n", h.name, "link", "add", "eth", "type", "veth", "peer", "name", "to-"+name, "netns", w.prefix+"hub")
	w.run("ip", "-n", w.prefix+"hub", "link", "set", "to-"+name, "master", "bridge", "up")
	w.run("ip", "-n", h.name, "addr", "add", h.ip+"/24", "dev", "eth")
	w.run("ip", "-n", h.name, "link", "set", "eth", "up")
	return h
}

// A namespace is where one node runs.
type namespace struct {
	network  *network
	name, ip string
}

func (h namespace) enter() []string       { return []string{"ip", "netns", "exec", h.name} }
func (h namespace) address(string) string { return fmt.Sprintf("%s:%d", h.ip, nodePort) }
func (h namespace) etcd(string) string {
	return fmt.Sprintf("%s:%d,%d", h.ip, etcdPeerPort, etcdClientPort)
}

// A cut is packets that a node's interface drops, in the directions named.
type cut struct {
	in, out bool
	match   string // in the words of nft, with THEIR-addr and OUR-port for saddr or daddr, sport or dport
}

// drop makes a node's namespace drop packets, instead of what it dropped before.
func (n *node) drop(cuts ...cut) {
	n.struck.Store(true)
	h := n.host.(namespace)
	rules := "table inet faults\ndelete table inet faults\ntable inet faults {\n"
	for _, direction := range []string{"in", "out"} {
		hook, theirs, ours, device := "input", "s", "d", "iifname"
		if direction == "out" {
			hook, theirs, ours, device = "output", "d", "s", "oifname"
		}
		rules += "chain " + direction + " {\ntype filter hook " + hook + " priority 0;\n"
		for _, c := range cuts {
			if direction == "in" && c.in || direction == "out" && c.out {
				match := strings.NewReplacer("THEIR-", theirs, "OUR-", ours).Replace(c.match)
				rules += device + " eth " + match + " drop\n"
			}
		}
		rules += "}\n"
	}
	rules += "}\n"
	command := exec.Command("ip", "netns", "exec", h.name, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if out, err := command.CombinedOutput(); err != nil {
		n.cluster.t.Fatalf("nft: %v: %s\n%s", err, out, rules)
	}
}

// Cuts of one node's packets, of both directions.
func etcdCut() []cut {
	ports := fmt.Sprintf("{%d, %d}", etcdPeerPort, etcdClientPort)
	return []cut{{true, true, "tcp THEIR-port " + ports}, {true, true, "tcp OUR-port " + ports}}
}

func peersCut() []cut {
	return []cut{{true, true, fmt.Sprintf("tcp THEIR-port %d", nodePort)}, {true, true, fmt.Sprintf("tcp OUR-port %d", nodePort)}}
}

// from is a cut of all that other nodes send, or are sent.
func from(others []*node, in, out bool) []cut {
	var addresses []string
	for _, n := range others {
		addresses = append(addresses, n.host.(namespace).ip)
	}
	return []cut{{in, out, "ip THEIR-addr {" + strings.Join(addresses, ", ") + "}"}}
}
