package faults_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// built is where programs are, once a test has needed one.
var built = sync.OnceValues(func() (dir string, err error) { return os.MkdirTemp("", "corral-faults-") })

// Programs are built once for all tests, without the race detector: what is timed
// is the product.
var (
	program = sync.OnceValues(func() (path string, err error) { return build("node", "./node") })
	// breakable is a node that breaks the rule of the protocol that CORRAL_BROKEN
	// names.
	breakable = sync.OnceValues(func() (path string, err error) { return build("breakable", "-tags", "sim", "./node") })
)

func build(name string, arguments ...string) (path string, err error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	if out, err := exec.Command("go", append([]string{"build", "-o", path}, arguments...)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if soak {
		printTable(os.Stdout)
	}
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// A process is one life of a node.
type process struct {
	node *node
	cmd  *exec.Cmd
	in   io.WriteCloser

	served  chan struct{} // closed once it serves
	ended   chan struct{} // closed once it has ended
	closing atomic.Bool   // it was told to leave

	mu      sync.Mutex
	last    int
	waiting map[int]chan faults.Answer
}

// begin starts the node's process and returns at once.
func (n *node) begin() {
	t := n.cluster.t
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("build the node: %v", err)
	}
	if n.program != "" {
		path = n.program
	}
	command := append(n.host.enter(), path, "-name", n.name, "-listen", n.host.address(n.name), "-dir", n.dir, "-origin", n.cluster.origin.socket)
	if n.cluster.etcd != "" {
		command = append(command, "-etcd", n.cluster.etcd)
	} else {
		command = append(command, "-peers", n.cluster.peers())
	}
	if n.cluster.stores {
		command = append(command, "-store", filepath.Join(n.dir, "values"))
	}
	if n.votes {
		command = append(command, "-etcd-listen", n.host.etcd(n.name))
	}
	p := &process{node: n, cmd: exec.Command(command[0], command[1:]...), served: make(chan struct{}), ended: make(chan struct{}), waiting: map[int]chan faults.Answer{}}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.living.Lock()
	n.process = p
	n.living.Unlock()
	go p.listen(out)
	t.Cleanup(func() { p.kill() })
}

// listen hands out answers until the process has ended.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a faults.Answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue
		}
		if a.ID == 0 {
			close(p.served)
			continue
		}
		p.mu.Lock()
		answer := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if answer != nil {
			answer <- a
		}
	}
	_ = p.cmd.Wait() // how it ended is the test's doing, or in its log
	close(p.ended)
}

// signal sends one to the process.
func (p *process) signal(s syscall.Signal) {
	p.node.struck.Store(true)
	_ = p.cmd.Process.Signal(s)
}

// kill is kill -9, and waits for the end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// cure undoes what was done to a node.
func (n *node) cure() {
	if _, apart := n.host.(namespace); apart {
		n.drop()
	}
	n.signal(syscall.SIGCONT)
	if n.closing.Load() {
		<-n.ended // which it bounds itself
	}
	select {
	case <-n.ended:
		n.begin()
	default:
	}
}

// A pending is a command that has been sent.
type pending struct {
	process *process
	command faults.Command
	sent    time.Time
	answer  chan faults.Answer
}

// send gives the node a command. What is sent to a stopped process is what it
// finds when it goes on.
func (n *node) send(command faults.Command) *pending {
	n.living.Lock()
	p := n.process
	n.living.Unlock()
	if command.Do == faults.Close {
		n.struck.Store(true)
		p.closing.Store(true)
	}
	if command.Patience == 0 {
		command.Patience = patience
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	command.ID = p.last
	sent := &pending{process: p, command: command, sent: time.Now(), answer: make(chan faults.Answer, 1)}
	p.waiting[command.ID] = sent.answer
	line, err := json.Marshal(command)
	if err != nil {
		panic(err) // of a struct of strings and numbers
	}
	_, _ = p.in.Write(append(line, '\n')) // a process that has ended is found by wait
	return sent
}

// wait is the answer; ok is false when the process has ended without one.
func (p *pending) wait() (a faults.Answer, ok bool) {
	select {
	case a = <-p.answer:
		return a, true
	case <-p.process.ended:
		select {
		case a = <-p.answer:
			return a, true
		default:
			return faults.Answer{}, false
		}
	case <-time.After(p.command.Patience + soon):
		return faults.Answer{}, false
	}
}

// must is the answer, and the end of the test if there is none.
func (p *pending) must(t testing.TB) faults.Answer {
	t.Helper()
	a, ok := p.wait()
	if !ok {
		t.Fatalf("node %s has not answered %s %s", p.process.node.name, p.command.Do, p.command.Key)
	}
	if a.Error != "" {
		t.Fatalf("node %s: %s %q: %s", p.process.node.name, p.command.Do, p.command.Key, a.Error)
	}
	return a
}

// logTail is the end of the node's log.
func (n *node) logTail(lines int) string {
	text, _ := os.ReadFile(n.log)
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// logAround is what the node said of itself shortly before and after a moment.
func (n *node) logAround(at time.Time) string {
	text, _ := os.ReadFile(n.log)
	var near []string
	for line := range strings.Lines(string(text)) {
		stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		said, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && said.Sub(at).Abs() < 300*time.Millisecond && !strings.Contains(rest, `msg="etcd`) {
			near = append(near, line)
		}
	}
	return strings.Join(near, "")
}
