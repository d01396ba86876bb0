package main

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

// childVariable, in the environment, says what a process of this program is
// that serves another one.
const childVariable = "CORRAL_BENCH_CLUSTER_CHILD"

func inChild() bool { return os.Getenv(childVariable) != "" }

// serveChild is main in a child process: it answers calls that come over its
// standard input until that ends.
func serveChild(log io.Writer) int {
	server := rpc.NewServer()
	var child interface{ Close() error }
	switch role := os.Getenv(childVariable); role {
	case "node":
		child = new(Member)
	case "nats":
		child = new(Exchange)
	case "etcd":
		child = new(Registry)
	default:
		fmt.Fprintf(log, "%s=%q: there is no such child\n", childVariable, role)
		return 1
	}
	if err := server.RegisterName(serviceName, child); err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
	if err := child.Close(); err != nil {
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

// A process is a child, as its parent sees it.
type process struct {
	*rpc.Client
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed once it has been waited for
}

// start starts a child, whose log goes to a file.
func start(dir, role, name string) (*process, error) {
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
	cmd.Env = append(os.Environ(), childVariable+"="+role)
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
	p := &process{Client: rpc.NewClient(pipes{out, in}), name: name, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		cmd.Process.Wait()
	}()
	return p, nil
}

// ask calls a method of the child.
func (p *process) ask(method string, argument, answer any) error {
	if err := p.Call(serviceName+"."+method, argument, answer); err != nil {
		return fmt.Errorf("%s of %s: %w", method, p.name, err)
	}
	return nil
}

// kill ends the child as a crash would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.Client.Close()
}

// Nothing is what a method of a child takes or gives that takes or gives
// nothing.
type Nothing struct{}
