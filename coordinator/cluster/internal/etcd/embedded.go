package etcd

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

// Embedded says what a member of etcd in this process is to be.
type Embedded struct {
	// Dir is the data directory, see LockDir. The member's own files are below it.
	Dir string

	// Name is the member's, different in each.
	Name string

	// Peer and Client are the addresses, host:port, at which the other members
	// and the clients find it. They stay the same for the life of the data.
	Peer, Client string

	// Bind is the IP address to listen on. Default: what the hosts of Peer and
	// Client resolve to.
	Bind string

	// Members are the peer addresses of the first members by name, this one among
	// them.
	Members map[string]string

	// New: a cluster is begun. If not, and there are no files, the member joins
	// one that has been told to take it.
	New bool

	// Token is the cluster's UUID, by which members of another are refused.
	Token string

	// Heartbeat and Election are etcd's timers; Election at least five times
	// Heartbeat. Defaults: DefaultHeartbeat, DefaultElection.
	Heartbeat, Election time.Duration

	// Quota bounds the database, in bytes; full, it refuses writes (ErrFull).
	// Default: DefaultQuota.
	Quota int64

	// Identity is what the member shows at both of its ports, and by what it knows
	// the others; nil: plain text.
	Identity *identity.Identity `json:"-"`
	// Refused returns what is told who was refused at one of the ports, and why.
	// Nil: nobody is told.
	Refused func(port string) func(from string, cause error) `json:"-"`

	// Log is told warnings and errors. Default: slog.Default().
	Log *slog.Logger
}

func (c Embedded) withDefaults() (Embedded, error) {
	for name, value := range map[string]string{"Dir": c.Dir, "Name": c.Name, "Peer": c.Peer, "Client": c.Client, "Token": c.Token} {
		if value == "" {
			return c, fmt.Errorf("etcd: Embedded.%s is empty: set it", name)
		}
	}
	if c.Members[c.Name] != c.Peer {
		return c, fmt.Errorf("etcd: Embedded.Members has %q for member %q, whose Peer is %q: name it there", c.Members[c.Name], c.Name, c.Peer)
	}
	if n := len(c.Members); n%2 == 0 {
		return c, fmt.Errorf("etcd: Embedded.Members names %d members, which survive the loss of no more than one less: name 1, 3 or 5", n)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.Election == 0 {
		c.Election = DefaultElection
	}
	if c.Quota == 0 {
		c.Quota = DefaultQuota
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Refused == nil {
		c.Refused = func(string) func(string, error) { return func(string, error) {} }
	}
	return c, nil
}

// claim makes the data directory this member's, or finds that it is another's.
func (c Embedded) claim() error {
	if err := os.MkdirAll(c.data(), 0o700); err != nil {
		return c.explain(err)
	}
	path := filepath.Join(c.Dir, "etcd-member")
	mine := c.Token + " " + c.Name + "\n"
	found, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && c.hasData():
		return fmt.Errorf("%s holds data of etcd, and no word of whose: move it away", c.data())
	case errors.Is(err, os.ErrNotExist):
		return c.explain(writeWhole(path, []byte(mine)))
	case err != nil:
		return c.explain(err)
	case string(found) != mine:
		cluster, name, _ := strings.Cut(strings.TrimSpace(string(found)), " ")
		return fmt.Errorf("the data directory %s is of member %q in cluster %s, not of %q in %s: name the directory that belongs to this node, or an empty one", c.Dir, name, cluster, c.Name, c.Token)
	}
	return nil
}

func (c Embedded) data() string { return filepath.Join(c.Dir, "etcd") }

func (c Embedded) hasData() bool {
	_, err := os.Stat(filepath.Join(c.data(), "member"))
	return err == nil
}

// explain adds to an error of etcd's start what can be done about it.
func (c Embedded) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another process listens on %s or %s: stop it, or name other ports (--cluster.etcd-listen)", err, c.Peer, c.Client)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: neither %s nor %s need be of this machine: name an address that is (--cluster.etcd-listen)", err, c.Peer, c.Client)
	case errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: let this user write to %s, or name another directory (--cluster.dir)", err, c.Dir)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s is not a directory: name another (--cluster.dir)", err, c.Dir)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: make room on the disk of %s", err, c.Dir)
	}
	return err
}

// bindings are one port's URLs: those that others are told, and those bound.
type bindings struct{ advertised, bound []url.URL }

func (c Embedded) urls() (peer, client bindings, err error) {
	if peer, err = c.bindings("Peer", c.Peer); err != nil {
		return peer, client, err
	}
	client, err = c.bindings("Client", c.Client)
	return peer, client, err
}

func (c Embedded) bindings(field, address string) (bindings, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || port == "0" {
		return bindings{}, fmt.Errorf("field Embedded.%s %q is not host:port with a port of its own: name both", field, address)
	}
	bind := c.Bind
	if bind == "" {
		// etcd binds to IP addresses only.
		ip, err := net.ResolveIPAddr("ip", host)
		if err != nil {
			return bindings{}, fmt.Errorf("field Embedded.%s %q: %w: name a host that resolves, or set Bind", field, address, err)
		}
		bind = ip.String()
	}
	return bindings{
		advertised: []url.URL{{Scheme: c.scheme(), Host: address}},
		bound:      []url.URL{{Scheme: c.scheme(), Host: net.JoinHostPort(bind, port)}},
	}, nil
}

// scheme is that of the member's URLs.
func (c Embedded) scheme() string {
	if c.Identity != nil {
		return "https"
	}
	return "http"
}

func (c Embedded) initialCluster() string {
	members := make([]string, 0, len(c.Members))
	for _, name := range slices.Sorted(maps.Keys(c.Members)) {
		members = append(members, name+"="+c.scheme()+"://"+c.Members[name])
	}
	return strings.Join(members, ",")
}

// writeWhole replaces a file so that a crash leaves the old one or the new one.
func writeWhole(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // not there any more, unless something failed
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
