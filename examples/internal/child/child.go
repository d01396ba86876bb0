// Package child runs the programs that a demo is made of: each is up once it has
// said where it listens, writes to a log of its own, and is stopped in the end.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a program that this one has started and stops.
type Process struct {
	Log   string // path of the file that has all of its output
	URL   string // where it listens
	Admin string // of Corral

	name    string
	command *exec.Cmd
	ended   chan struct{} // closed when it has ended and all of its output is in the log
	mu      sync.Mutex    // guards last
	last    []string      // the last whole lines of its output
}

const (
	startTimeout = time.Minute
	stopTimeout  = 15 * time.Second
	lastLines    = 5
)

// Start runs a program until it says where it listens: in a line of "name:
// listening on URL", or as Corral does. Its log is a file of its name in logs.
func Start(ctx context.Context, logs, name, program string, args ...string) (*Process, error) {
	file, err := os.Create(filepath.Join(logs, name+".log"))
	if err != nil {
		return nil, err
	}
	c := &Process{name: name, Log: file.Name(), ended: make(chan struct{})}
	output, input := io.Pipe()
	c.command = exec.Command(program, args...)
	c.command.Stdout, c.command.Stderr = input, input
	// A group of its own keeps the terminal's Ctrl-C from it: it would take
	// the signal that stops it in order for the second one, which does not.
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), file.Close())
	}
	ready := make(chan struct{})
	go c.read(output, file, ready)
	go func() {
		c.command.Wait() // Failure tells how it ended
		input.Close()
	}()

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-ready:
		return c, nil
	case <-c.ended:
		return nil, c.Failure()
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("%s does not say within %v where it listens: see %s", name, startTimeout, c.Log)
	}
	c.Stop()
	return nil, err
}

// read copies the output into the log, closes ready after the line that says
// where the child listens, and ended after the last one.
func (c *Process) read(output io.Reader, log io.WriteCloser, ready chan<- struct{}) {
	defer close(c.ended)
	defer log.Close()
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		io.WriteString(log, line)
		if c.URL == "" && c.address(line) {
			close(ready)
		}
		if err != nil {
			return
		}
		c.mu.Lock()
		if c.last = append(c.last, strings.TrimSpace(line)); len(c.last) > lastLines {
			c.last = c.last[1:]
		}
		c.mu.Unlock()
	}
}

// address takes the addresses from the line with which a program says that it
// is ready.
func (c *Process) address(line string) bool {
	if _, url, ok := strings.Cut(line, ": listening on "); ok {
		c.URL = strings.TrimSpace(url)
		return true
	}
	var said struct{ Msg, URL, Admin string }
	if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "ready" {
		return false
	}
	c.URL, c.Admin = said.URL, said.Admin
	return true
}

// Pid is the child's process id.
func (c *Process) Pid() int { return c.command.Process.Pid }

// Ended is closed when the child has ended.
func (c *Process) Ended() <-chan struct{} { return c.ended }

// Failure says how a child ended that should not have.
func (c *Process) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%s ended: %s\n%s", c.name, c.command.ProcessState, strings.Join(c.last, "\n"))
}

// Stop asks the child to stop, and kills it when it does not.
func (c *Process) Stop() {
	c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(stopTimeout):
		c.command.Process.Kill()
		<-c.ended
	}
}

// Kill ends the child at once, as a crash would.
func (c *Process) Kill() {
	c.command.Process.Kill()
	<-c.ended
}
