package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const corralName = "corral"

// A contender is something that can stand before the origin.
type contender struct {
	name    string
	command func(d deployment) (*exec.Cmd, error)
	// settings says how it is configured, for the reader of its figures.
	settings string
}

// A deployment is what a contender's configuration is made of.
type deployment struct {
	dir      string        // for its files
	listen   string        // host:port
	admin    string        // host:port, for those that have such a listener
	origin   string        // host:port
	corral   string        // the program
	deadline time.Duration // for the origin's header; 0: as it is shipped
}

func (d deployment) port() string   { return portOf(d.listen) }
func (d deployment) toPort() string { return portOf(d.origin) }

func portOf(addr string) string {
	_, port, _ := strings.Cut(addr, ":")
	return port
}

// write writes a file of the configuration and returns its path.
func (d deployment) write(name, text string) (string, error) {
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// contenders are all there are.
var contenders = []contender{
	corral, bare, plainProxy, nginx, nginxPlain, varnish, trafficServer, squid, workerd,
}

func named(name string) contender {
	i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })
	return contenders[i]
}

// bare is the origin itself.
var bare = contender{name: "bare", settings: "the origin, asked directly"}

// A proxy is a contender that runs.
type proxy struct {
	contender
	*process
	addr string // host:port
}

// start starts a contender for a row and waits until it answers.
func (b *bench) start(ctx context.Context, c contender, row row) (*proxy, error) {
	if c.command == nil {
		return &proxy{contender: c, process: b.origin.process, addr: b.origin.Front}, nil
	}
	d := deployment{origin: b.origin.Front, corral: b.corral}
	if row.deadline {
		d.deadline = b.deadline
	}
	b.started++
	d.dir = filepath.Join(b.dir, fmt.Sprintf("%02d-%s-%s", b.started, row.name, c.name))
	if err := os.Mkdir(d.dir, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(d.dir, 0o777); err != nil { // whatever the umask
		return nil, err
	}
	var err error
	if d.listen, d.admin, err = freeAddresses(); err != nil {
		return nil, err
	}
	cmd, err := c.command(d)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", c.name, err)
	}
	if cmd.Dir == "" {
		cmd.Dir = d.dir
	}
	p := &proxy{contender: c, addr: d.listen}
	if p.process, err = start(cmd, filepath.Join(d.dir, "output.log")); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if err := p.await(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// stop ends the contender; the origin outlives its rows.
func (p *proxy) stop() {
	if p.command != nil {
		p.process.stop()
	}
}

// starting is how long a contender may take until it answers.
const starting = 30 * time.Second

// await asks until the origin's answer comes through.
func (p *proxy) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	for {
		clients, err := connect(ctx, p.addr, 1)
		if err == nil {
			hangUp(clients)
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it answered: %s", p.name, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer within %v: %w: %s", p.name, starting, errors.Join(err, context.Cause(ctx)), p.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freeAddresses are two loopback addresses that nobody listened at just now.
func freeAddresses() (one, other string, err error) {
	addr := make([]string, 2)
	for i := range addr {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		addr[i] = l.Addr().String()
	}
	return addr[0], addr[1], nil
}

// installed is the path of a program, or what to do about it.
func installed(program string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing: run make bench-http, which installs it, or leave its contender out by -rivals", program)
}
