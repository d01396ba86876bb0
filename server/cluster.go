package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/corralcache/corral/coordinator/cluster"
)

// A Member is this process's part in a cluster: a *cluster.Node.
type Member interface {
	Status() cluster.Status
	Table() []cluster.PartitionStatus
	Find(cache, key string) cluster.KeyStatus
	EtcdMembers(ctx context.Context) ([]cluster.EtcdMember, error)
	Drain(ctx context.Context, name string) error
	Undrain(ctx context.Context, name string) error
}

var _ Member = (*cluster.Node)(nil)

// JoinCluster makes this process a node of the cluster that a valid Config
// names, and returns when it may answer and keys have owners: with the very
// first nodes of a cluster, when enough of them have been started. Without
// cluster.listen it does nothing and gives nil.
func JoinCluster(ctx context.Context, config Config, log *slog.Logger) (*cluster.Node, error) {
	if config.Cluster.off() {
		return nil, nil
	}
	options := cluster.Config{
		Name: config.NodeName, Listen: string(config.Cluster), Advertise: config.Advertise,
		Peers: config.Peers, EtcdListen: config.EtcdListen, Etcd: config.Etcd, EtcdPrefix: config.EtcdPrefix,
		Dir: config.ClusterDir, New: config.ClusterNew == On,
		Weight: config.NodeWeight, Client: config.NodeWeight == 0, Zone: config.ClusterZone, Log: log,
	}
	var problems []*Problem
	if options.TLS, problems = config.clusterTLS(); len(problems) > 0 {
		return nil, join(problems)
	}
	log.Info("joining the cluster", "listen", options.Listen, "peers", options.Peers, "etcd", options.Etcd)
	node, err := cluster.Join(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return node, nil
}

// clusterTLS is how nodes speak with each other; nil: in the clear.
func (c *Config) clusterTLS() (*tls.Config, []*Problem) {
	if c.ClusterCert == "" {
		return nil, nil
	}
	pairs, _, problems := c.readPairs("cluster.tls-cert", "cluster.tls-key", []string{c.ClusterCert}, []string{c.ClusterKey})
	authorities, remedy := readAuthorities(c.ClusterCA)
	if remedy != "" {
		problems = append(problems, c.problem("cluster.tls-ca", c.ClusterCA, remedy))
	}
	return &tls.Config{
		Certificates: pairs, RootCAs: authorities, ClientCAs: authorities,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}, problems
}

// cluster checks the settings of a node.
func (v *validation) cluster() {
	if v.Cluster.off() {
		for _, name := range []string{"node.name", "cluster.advertise", "cluster.peers", "cluster.dir", "cluster.zone", "cluster.etcd", "cluster.etcd-listen", "cluster.tls-cert"} {
			v.wrong(v.settings[name].String() != "", name, "cluster.listen is not set, and without it this process is in no cluster: set that too, to the address at which the other nodes reach this one")
		}
		v.wrong(v.ClusterNew == On, "cluster.new", "cluster.listen is not set: set it to the address at which the other nodes reach this one")
		return
	}
	v.wrong(strings.ContainsAny(v.NodeName, "/ \t\r\n"), "node.name", "leave out slashes and blanks")
	v.wrong(v.NodeWeight < 0, "node.weight", "set a number above 0, or 0 for a node that owns no keys")
	host, _, _ := net.SplitHostPort(string(v.Cluster))
	ip := net.ParseIP(host)
	v.wrong(v.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()), "cluster.listen", "it names no host by which others could reach this node: write one, as 10.0.0.1:7070, or set cluster.advertise")
	v.addresses("cluster.advertise", v.Advertise)
	v.addresses("cluster.peers", v.Peers...)
	v.addresses("cluster.etcd", v.Etcd...)
	switch {
	case len(v.Peers) == 0 && len(v.Etcd) == 0:
		v.wrong(true, "cluster.peers", "set the addresses of the first nodes, on which etcd runs then, or set cluster.etcd")
	case len(v.Peers) > 0 && len(v.Etcd) > 0:
		v.wrong(true, "cluster.etcd", "cluster.peers is set as well: etcd runs either inside the nodes or apart; leave one of the two out")
	case len(v.Peers) > 0:
		v.wrong(v.ClusterDir == "", "cluster.dir", "cluster.peers needs it: set a directory that is this node's own and stays")
	}
	for i, peer := range v.Peers {
		v.wrong(slices.Contains(v.Peers[:i], peer), "cluster.peers", "%s is in it twice: name each node once", peer)
	}
	v.wrong(v.EtcdListen != "" && len(v.Peers) == 0, "cluster.etcd-listen", "there is no etcd inside this node without cluster.peers: leave it out")
	v.wrong(v.EtcdListen != "" && !isEtcdListen(v.EtcdListen), "cluster.etcd-listen", "write a host and two ports, as 10.0.0.1:2380,2379")
	v.wrong(!strings.HasSuffix(v.EtcdPrefix, "/"), "cluster.etcd-prefix", "end it with a slash, as /corral/")
	for _, name := range []string{"listen", "tls.listen", "admin.listen"} {
		v.wrong(v.settings[name].String() == v.Cluster.String() && !v.Cluster.freePort(), "cluster.listen", "it is the same address as %s; the two need one each", name)
	}
	v.clusterFiles()
}

// clusterFiles checks that a node has a certificate, its key and authorities, or
// none of them.
func (v *validation) clusterFiles() {
	files, set := []string{"cluster.tls-cert", "cluster.tls-key", "cluster.tls-ca"}, 0
	for _, name := range files {
		if v.settings[name].String() != "" {
			set++
		}
	}
	if set == len(files) {
		_, problems := v.clusterTLS()
		v.add(problems)
		return
	}
	for _, name := range files {
		v.wrong(set > 0 && v.settings[name].String() == "", name, "cluster.tls-cert, cluster.tls-key and cluster.tls-ca go together: set all three, or none")
	}
}

// addresses checks those of a setting.
func (v *validation) addresses(name string, all ...string) {
	for _, address := range all {
		if address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		number, notNumber := strconv.ParseUint(port, 10, 16)
		v.wrong(err != nil || host == "" || notNumber != nil || number == 0, name, "%q is no address: write host:port, as 10.0.0.1:7070", address)
	}
}

// isEtcdListen reports whether a text is a host and two ports.
func isEtcdListen(text string) bool {
	first, second, found := strings.Cut(text, ",")
	host, port, err := net.SplitHostPort(first)
	return found && err == nil && host != "" && port != "" && validPort(port) && second != "" && validPort(second)
}
