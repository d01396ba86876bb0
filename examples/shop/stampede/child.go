package main

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

// A child is a program that this one has started and stops.
type child struct {
	name  string
	log   string // path of the file that has all of its output
	url   string // where it listens
	admin string // of Corral

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

// start runs a program until it says where it listens.
func start(ctx context.Context, logs, name, program string, args ...string) (*child, error) {
	file, err := os.Create(filepath.Join(logs, name+".log"))
	if err != nil {
		return nil, err
	}
	c := &child{name: name, log: file.Name(), ended: make(chan struct{})}
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
		c.command.Wait() // failure tells how it ended
		input.Close()
	}()

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-ready:
		return c, nil
	case <-c.ended:
		return nil, c.failure()
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("%s does not say within %v where it listens: see %s", name, startTimeout, c.log)
	}
	c.stop()
	return nil, err
}

// read copies the output into the log, closes ready after the line that says
// where the child listens, and ended after the last one.
func (c *child) read(output io.Reader, log io.WriteCloser, ready chan<- struct{}) {
	defer close(c.ended)
	defer log.Close()
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		io.WriteString(log, line)
		if c.url == "" && c.address(line) {
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

// address takes the addresses from the line with which the shop, or Corral,
// says that it is ready.
func (c *child) address(line string) bool {
	if url, ok := strings.CutPrefix(line, "shop: listening on "); ok {
		c.url = strings.TrimSpace(url)
		return true
	}
	var said struct{ Msg, URL, Admin string }
	if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "ready" {
		return false
	}
	c.url, c.admin = said.URL, said.Admin
	return true
}

// failure says how a child ended that should not have.
func (c *child) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%s ended: %s\n%s", c.name, c.command.ProcessState, strings.Join(c.last, "\n"))
}

// stop asks the child to stop, and kills it when it does not.
func (c *child) stop() {
	c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(stopTimeout):
		c.command.Process.Kill()
		<-c.ended
	}
}

// kill ends the child at once, as a crash would.
func (c *child) kill() {
	c.command.Process.Kill()
	<-c.ended
}
