// Package child starts processes of the program that is running and calls their
// methods: net/rpc over the standard input and output of each. A child ends when
// its standard input does, and also when its parent dies without a word.
//
// A program that has children begins its main, and TestMain, with
//
//	if role := child.Role(); role != "" {
//		os.Exit(child.Serve(...)) // what serves in that role
//	}
package child

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// variable, in the environment, says what a process is that serves another one.
const variable = "CORRAL_BENCH_CHILD"

// Role is what this process is to be to its parent; empty in one that nobody of
// this package has started.
func Role() string { return os.Getenv(variable) }

// Serve is main in a child process: it answers calls of service's exported
// methods until standard input ends, closes the service and returns the status
// to exit with.
func Serve(service io.Closer, log io.Writer) int {
	server := rpc.NewServer()
	if err := server.RegisterName(serviceName, service); err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
	if err := service.Close(); err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	return 0
}

const serviceName = "Child"

// pipes are the two directions of a connection to a process.
type pipes struct {
	io.ReadCloser
	write io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.write.Write(b) }
func (p pipes) Close() error                { return errors.Join(p.write.Close(), p.ReadCloser.Close()) }

// A Process is a child, as its parent sees it.
type Process struct {
	Name   string
	client *rpc.Client
	cmd    *exec.Cmd
	ended  chan struct{} // closed once it has been waited for
}

// Start starts a child in a role, whose log goes to a file in dir, under its name.
func Start(dir, role, name string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), variable+"="+role)
	cmd.Stderr = log
	// It ends also when this process dies without a word.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{client: rpc.NewClient(pipes{out, in}), Name: name, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		cmd.Process.Wait()
	}()
	return p, nil
}

// Ask calls a method of the child.
func (p *Process) Ask(method string, argument, answer any) error {
	if err := p.client.Call(serviceName+"."+method, argument, answer); err != nil {
		return fmt.Errorf("%s of %s: %w", method, p.Name, err)
	}
	return nil
}

// Begin calls a method of the child and does not wait for its answer, which
// comes over Done.
func (p *Process) Begin(method string, argument, answer any) *rpc.Call {
	return p.client.Go(serviceName+"."+method, argument, answer, nil)
}

// Signal sends the child a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Pid is the child's number at the kernel.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// End lets the child close what it serves, and end. It does not wait for that.
func (p *Process) End() { p.client.Close() }

// Ended is closed once the child has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the child as a crash would.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.client.Close()
}

// Nothing is what a method of a child takes or gives that takes or gives
// nothing.
type Nothing struct{}
