package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
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
	// Listener is used instead of opening Listen, which then need not be set. Join
	// closes it, also where it fails.
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

	// TLS are the files by which this node and the others know each other, at both
	// ends of every connection: between nodes, to etcd, and between etcd's members
	// where it runs inside the nodes. Zero: plain text, which needs
	// InsecurePlaintext if anything is called by another address than loopback's.
	TLS TLSFiles
	// InsecurePlaintext allows plain text on a network: whoever can reach it reads
	// what is cached, and may invalidate it, or call itself a node.
	InsecurePlaintext bool

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

// namesNoHost reports whether an address is one to listen on only.
func namesNoHost(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

// validate names every field that is wrong.
func (c Config) validate() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf("cluster: "+format, args...)) }
	if strings.ContainsAny(c.Name, "/ \t\r\n") {
		wrong("Config.Name is %q: leave out slashes and blanks", c.Name)
	}
	for _, text := range []struct{ field, value string }{{"Name", c.Name}, {"Advertise", c.Advertise}, {"Zone", c.Zone}} {
		if len(text.value) > etcd.MaxNameBytes || !utf8.ValidString(text.value) || strings.ContainsFunc(text.value, unicode.IsControl) {
			wrong("Config.%s is %.64q, of %d bytes: write at most %d of plain UTF-8", text.field, text.value, len(text.value), etcd.MaxNameBytes)
		}
	}
	if c.Listener == nil && c.Listen == "" {
		wrong("Config.Listen is empty: set the address, host:port, at which the other nodes reach this one")
	}
	for _, named := range []struct {
		field     string
		addresses []string
	}{{"Listen", []string{c.Listen}}, {"Advertise", []string{c.Advertise}}, {"Peers", c.Peers}, {"Etcd", c.Etcd}} {
		for _, address := range named.addresses {
			if _, _, err := net.SplitHostPort(address); err != nil && (address != "" || len(named.addresses) > 1) {
				wrong("Config.%s has %q: write it as host:port: %v", named.field, address, err)
			}
		}
	}
	if c.Advertise == "" && namesNoHost(c.Listen) {
		wrong("Config.Listen is %q, which names no host by which others could reach this node: write one, or set Config.Advertise", c.Listen)
	}
	for _, problem := range c.secured() {
		wrong("%s", problem)
	}
	if !strings.HasSuffix(c.EtcdPrefix, "/") {
		wrong("Config.EtcdPrefix is %q: end it in a slash, so that no other prefix begins with it", c.EtcdPrefix)
	}
	if c.EtcdListen != "" && len(c.Etcd) > 0 {
		wrong("Config.EtcdListen is %q and Config.Etcd is set: the etcd that is there listens where it does", c.EtcdListen)
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
	if c.Weight < 0 || c.Weight > etcd.MaxWeight || c.Client && c.Weight != 0 {
		wrong("Config.Weight is %d and Config.Client %v: a weight is between 1 and %d, and a client has none", c.Weight, c.Client, etcd.MaxWeight)
	}
	for _, limit := range []struct {
		field string
		value int
	}{
		{"ParkedOnKey", c.Limits.ParkedOnKey}, {"Parked", c.Limits.Parked}, {"Flights", c.Limits.Flights},
		{"Asks", c.Limits.Asks}, {"Marks", c.Limits.Marks},
	} {
		if limit.value < 0 {
			wrong("Config.Limits.%s is %d: set it above 0, or leave it 0 for the default", limit.field, limit.value)
		}
	}
	return errors.Join(all...)
}
