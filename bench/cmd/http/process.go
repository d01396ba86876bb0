package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopping is how long a process may take to end before it and its children
// are killed.
const stopping = 5 * time.Second

// A process is one that this program started and ends.
//
// Invariants:
//
//	P1. ended is closed when the process has been waited for, and not before.
//	P2. It is asked to end also when this program dies without a word.
type process struct {
	cmd   *exec.Cmd
	log   string // file of what it writes
	ended chan struct{}
}

// start starts a command in a process group of its own, which a ctrl-C at the
// terminal does not reach: whoever started it stops it, in order.
func start(cmd *exec.Cmd, log string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = file
	}
	cmd.Stderr = file
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM // P2; the kernel forgets it where a process changes its user
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		defer close(p.ended) // P1
		cmd.Process.Wait()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, and what is left of its group.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopping):
	}
	syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
}

// lastWords is the end of what the process wrote.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	text = bytes.TrimSpace(text[max(0, len(text)-enough):])
	return fmt.Sprintf("it wrote: %s", text)
}
