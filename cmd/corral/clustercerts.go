package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/internal/authority"
)

// clusterCerts is "corral cluster certs".
type clusterCerts struct {
	Dir      string        `name:"dir" flagonly:"" required:"" placeholder:"DIR" help:"Directory for the files. An authority that was made there before is used again."`
	Validity time.Duration `name:"validity" flagonly:"" default:"2160h" help:"How long the nodes' certificates are valid; else ${default}, 90 days."`
	Nodes    []string      `arg:"" name:"NODE=HOST,…" help:"Name of a node, and the hosts by which the others call it: those of its cluster.listen, cluster.advertise and cluster.etcd-listen. Without hosts: its name, and this machine."`
}

// authorityValidity is how long an authority is valid.
const authorityValidity = 10 * 365 * 24 * time.Hour

// thisMachine are the hosts of a node that is given none.
var thisMachine = []string{"localhost", "127.0.0.1", "::1"}

// A certRequest is one of the command's arguments.
type certRequest struct {
	name  string
	hosts []string
}

// Run makes an authority, if the directory has none, and a certificate and a key
// for each node.
func (c *clusterCerts) Run(s *session) error {
	requests, err := c.requests()
	if err != nil {
		return fmt.Errorf("corral: %w", err)
	}
	a, made, err := authority.Open(c.Dir, authorityValidity)
	if err != nil {
		return fmt.Errorf("corral: %w", err)
	}
	fmt.Fprintf(s.out, "authority %s, valid until %s%s\n", c.path(authority.CertFile), a.Ends().UTC().Format(time.DateOnly), map[bool]string{true: "", false: ", was there"}[made])
	for _, r := range requests {
		cert, key, err := a.Issue(authority.Request{Name: r.name, Hosts: r.hosts, Validity: c.Validity})
		if err != nil {
			return fmt.Errorf("corral: %w", err)
		}
		if err := authority.WritePair(c.cert(r), c.key(r), cert, key); err != nil {
			return fmt.Errorf("corral: certificate for %q: %w", r.name, err)
		}
		until := time.Now().Add(c.Validity)
		if until.After(a.Ends()) {
			until = a.Ends()
		}
		fmt.Fprintf(s.out, "\nnode %s, at %s, until %s:\n  --cluster.tls-cert %s --cluster.tls-key %s --cluster.tls-ca %s\n",
			r.name, strings.Join(r.hosts, ", "), until.UTC().Format(time.DateOnly), c.cert(r), c.key(r), c.path(authority.CertFile))
	}
	fmt.Fprintf(s.out, "\nThese are for tests: who reads %s can make itself a node.\n", c.path(authority.KeyFile))
	return nil
}

func (c *clusterCerts) path(file string) string   { return filepath.Join(c.Dir, file) }
func (c *clusterCerts) cert(r certRequest) string { return c.path(r.name + ".pem") }
func (c *clusterCerts) key(r certRequest) string  { return c.path(r.name + "-key.pem") }

// requests reads the arguments, and looks for everything that stands against them
// before anything is written.
func (c *clusterCerts) requests() ([]certRequest, error) {
	var requests []certRequest
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if c.Validity <= 0 {
		wrong("--validity is %v: set a time above 0, as 2160h", c.Validity)
	}
	files := []string{c.path(authority.CertFile), c.path(authority.KeyFile)}
	for _, node := range c.Nodes {
		name, hosts, some := strings.Cut(node, "=")
		r := certRequest{name: name, hosts: append([]string{name}, thisMachine...)}
		if some {
			r.hosts = strings.Split(hosts, ",")
		}
		if name == "" || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) {
			wrong("node %q: write the name of a node, as node.name has it, without slashes and blanks", name)
			continue
		}
		for _, host := range r.hosts {
			if !isHost(host) {
				wrong("node %q: %q is no host: write names and IP addresses without ports, as a=10.0.0.1,a.example", name, host)
			}
		}
		for _, path := range []string{c.cert(r), c.key(r)} {
			_, err := os.Lstat(path)
			switch {
			case slices.Contains(files, path):
				wrong("node %q: %s is the file of another: give each node a name of its own", name, path)
			case err == nil:
				wrong("node %q: %s is there, and is not written over: move it away, or name another directory", name, path)
			case !errors.Is(err, os.ErrNotExist):
				wrong("node %q: %w", name, err)
			}
			files = append(files, path)
		}
		requests = append(requests, r)
	}
	return requests, errors.Join(all...)
}

// isHost reports whether a text is an IP address, or a name of letters, digits,
// hyphens and dots (RFC 1123, section 2.1).
func isHost(text string) bool {
	if net.ParseIP(text) != nil {
		return true
	}
	name := strings.TrimPrefix(text, "*.")
	return name != "" && len(name) <= 253 && !strings.HasPrefix(name, "-") && !strings.HasPrefix(name, ".") && !strings.Contains(name, "..") &&
		strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}
