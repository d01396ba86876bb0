package localserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopping is how long a server may take to end before it is killed.
const stopping = 5 * time.Second

// errTaken is the cause when a server found its port in use.
var errTaken = errors.New("its port is in use")

func isTaken(err error) bool { return errors.Is(err, errTaken) }

// A process is a server's.
//
// Invariants:
//
//	P1. ended is closed when the process has been waited for, and not before;
//	    its pid names nobody else until then.
//	P2. On Linux the kernel ends it when this process dies. It does so when the
//	    thread that started it ends, too: so that thread does nothing else and
//	    lives as long as the server.
type process struct {
	cmd   *exec.Cmd
	said  *words
	ended chan struct{}
}

// launch starts cmd in a process group of its own, which a ctrl-C at the
// terminal does not reach, and waits until it writes the word ready.
func launch(ctx context.Context, cmd *exec.Cmd, ready string, atDeath syscall.Signal) (*process, error) {
	p := &process{cmd: cmd, said: &words{ready: ready, isReady: make(chan struct{})}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.said, p.said
	cmd.WaitDelay = time.Second // children of its own may hold its output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	endWithParent(cmd.SysProcAttr, atDeath)
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("localserver: start %s: %w", cmd.Path, err)
	}
	select {
	case <-p.said.isReady:
		return p, nil
	case <-p.ended:
		err := fmt.Errorf("localserver: %s ended before it was ready; it wrote: %s", cmd.Path, p.said)
		if text := p.said.String(); strings.Contains(text, "ddress already in use") {
			err = fmt.Errorf("%w: %w", err, errTaken)
		}
		return nil, err
	case <-ctx.Done():
		p.kill()
		return nil, fmt.Errorf("localserver: %s was not ready in time: %w; it wrote: %s", cmd.Path, context.Cause(ctx), p.said)
	}
}

func (p *process) run(started chan<- error) {
	runtime.LockOSThread() // P2; never unlocked: the thread ends with this
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	defer close(p.ended) // P1
	p.cmd.Wait()
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to a process that has not ended.
func (p *process) signal(s syscall.Signal) error {
	if !p.running() {
		return fmt.Errorf("localserver: %s has ended; it wrote: %s", p.cmd.Path, p.said)
	}
	return p.cmd.Process.Signal(s)
}

// stop asks the process to end with a signal and waits for it.
func (p *process) stop(s syscall.Signal) error {
	if err := p.signal(s); err != nil {
		return err
	}
	p.signal(syscall.SIGCONT) // for one that was paused
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopping):
		p.kill()
		return fmt.Errorf("localserver: %s did not end within %v and was killed; it wrote: %s", p.cmd.Path, stopping, p.said)
	}
}

// kill ends the process as a crash would.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// words keep the end of what a process writes, and know when it has written
// that it is ready.
type words struct {
	ready   string
	isReady chan struct{}

	mu    sync.Mutex
	seen  bool
	bytes []byte
}

var _ io.Writer = (*words)(nil)

func (w *words) Write(p []byte) (int, error) {
	const enough = 4000
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes = append(w.bytes, p...)
	if !w.seen && bytes.Contains(w.bytes, []byte(w.ready)) {
		w.seen = true
		close(w.isReady)
	}
	w.bytes = w.bytes[max(0, len(w.bytes)-enough):]
	return len(p), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.bytes))
}
