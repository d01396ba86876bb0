package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// DefaultPartitions is P: how many shares the keys of a new cluster are divided
// into.
const DefaultPartitions = 1024

// Config says what a node is and where it finds the others. The zero value of a
// field is its default, unless it says that it must be set.
type Config struct {
	// Name is the node's own, and stays the same over its restarts. Default: the
	// host's name.
	Name string

	// Listen is the address, host:port, at which the other nodes reach this one.
	// It must be set. Port 0 is a free one, announced by the node's record.
	Listen string
	// Advertise is the address that others are told, if it differs from Listen:
	// behind a translated address, or where Listen names no host.
	Advertise string
	// Listener is used instead of opening Listen, which then need not be set.
	Listener net.Listener

	// Peers are the Listen addresses of the first nodes, this one among them. On
	// the first one, or the first three, etcd runs inside the node. Set either
	// Peers or Etcd.
	Peers []string
	// EtcdListen is where the embedded etcd listens, as HOST:PEERPORT,CLIENTPORT.
	// Default: free ports on the host of Listen, kept in Dir.
	EtcdListen string

	// Etcd are the endpoints, host:port, of an etcd that is there.
	Etcd []string
	// EtcdPrefix is put before every key. Default: "/corral/". Two clusters on one
	// etcd need two.
	EtcdPrefix string

	// Dir is the node's directory: the embedded etcd's data and the proof that an
	// earlier life of the node is over. With Peers it must be set. Without one, a
	// node that comes back under its name waits until its earlier life cannot be
	// alive any more, about two seconds.
	Dir string

	// New creates the cluster if there is none. It is given once, to the first
	// nodes; it does no harm where the cluster is there.
	New bool
	// Partitions is P of a cluster that New creates. Default: DefaultPartitions.
	Partitions int

	// Weight is the node's share of partitions, relative to the others'. Default:
	// 1. Zero is said by Client.
	Weight int
	// Client makes the node own nothing: it asks, computes and keeps copies.
	Client bool
	// Zone is shown, and not yet used.
	Zone string

	// TLS secures the nodes' streams, in both directions, and with an external etcd
	// also those to it. Nil: plain text, for a network that is trusted.
	TLS *tls.Config

	// Limits bound what the node remembers for others. Zero: core.DefaultLimits.
	Limits core.Limits

	// Log is told what an operator may want to know. Default: slog.Default().
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("cluster: Config.Name is empty and the host has no name: set it: %w", err)
		}
		c.Name = host
	}
	if c.Weight == 0 && !c.Client {
		c.Weight = 1
	}
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.EtcdPrefix == "" {
		c.EtcdPrefix = "/corral/"
	}
	return c, c.validate()
}

// validate names every field that is wrong.
func (c Config) validate() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf("cluster: "+format, args...)) }
	if strings.ContainsAny(c.Name, "/ \t\r\n") {
		wrong("Config.Name is %q: leave out slashes and blanks", c.Name)
	}
	if c.Listener == nil && c.Listen == "" {
		wrong("Config.Listen is empty: set the address, host:port, at which the other nodes reach this one")
	}
	for field, addresses := range map[string][]string{"Listen": {c.Listen}, "Advertise": {c.Advertise}, "Peers": c.Peers, "Etcd": c.Etcd} {
		for _, address := range addresses {
			if _, _, err := net.SplitHostPort(address); err != nil && address != "" {
				wrong("Config.%s is %q: write it as host:port: %v", field, address, err)
			}
		}
	}
	switch {
	case len(c.Peers) == 0 && len(c.Etcd) == 0:
		wrong("Config.Peers and Config.Etcd are both empty: set the first nodes' addresses, or an etcd's; a single process needs no Coordinator at all")
	case len(c.Peers) > 0 && len(c.Etcd) > 0:
		wrong("Config.Peers and Config.Etcd are both set: etcd runs either inside the nodes or apart")
	case len(c.Peers) > 0 && c.Dir == "":
		wrong("Config.Dir is empty: the embedded etcd needs a directory that stays")
	}
	if c.Partitions < 1 || c.Partitions > 1<<15 {
		wrong("Config.Partitions is %d: set it between 1 and %d", c.Partitions, 1<<15)
	}
	if c.Weight < 0 || c.Client && c.Weight != 0 {
		wrong("Config.Weight is %d and Config.Client %v: a weight is 1 or more, and a client has none", c.Weight, c.Client)
	}
	return errors.Join(all...)
}
