package server

import (
	"context"
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
		TLS: config.clusterTLS(), InsecurePlaintext: config.ClusterPlaintext == On,
	}
	log.Info("joining the cluster", "listen", options.Listen, "peers", options.Peers, "etcd", options.Etcd)
	node, err := cluster.Join(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return node, nil
}

// clusterTLS are the files by which nodes know each other; zero: plain text.
func (c *Config) clusterTLS() cluster.TLSFiles {
	return cluster.TLSFiles{Cert: c.ClusterCert, Key: c.ClusterKey, CA: c.ClusterCA}
}

// cluster checks the settings of a node.
func (v *validation) cluster() {
	if v.Cluster.off() {
		for _, name := range []string{"node.name", "cluster.advertise", "cluster.peers", "cluster.dir", "cluster.zone", "cluster.etcd", "cluster.etcd-listen", "cluster.tls-cert"} {
			v.wrong(v.settings[name].String() != "", name, "cluster.listen is not set, and without it this process is in no cluster: set that too, to the address at which the other nodes reach this one")
		}
		v.wrong(v.ClusterPlaintext == On, "cluster.insecure-plaintext", "cluster.listen is not set, and without it this process is in no cluster: leave this out")
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
// none of them and nothing that leaves this machine.
func (v *validation) clusterFiles() {
	files, set := []string{"cluster.tls-cert", "cluster.tls-key", "cluster.tls-ca"}, 0
	for _, name := range files {
		if v.settings[name].String() != "" {
			set++
		}
	}
	switch {
	case set == len(files):
		v.wrong(v.ClusterPlaintext == On, "cluster.insecure-plaintext", "cluster.tls-cert is set, so that nothing is plain text: leave this out")
		v.clusterPair()
	case set == 0 && v.ClusterPlaintext != On:
		v.clusterPlaintext()
	}
	for _, name := range files {
		v.wrong(set > 0 && v.settings[name].String() == "", name, "cluster.tls-cert, cluster.tls-key and cluster.tls-ca go together: set all three, or none")
	}
}

// clusterPair checks what is in the files.
func (v *validation) clusterPair() {
	reached := string(v.Cluster)
	if v.Advertise != "" {
		reached = v.Advertise
	}
	host, _, _ := net.SplitHostPort(reached)
	hosts := []string{host}
	if at, _, both := strings.Cut(v.EtcdListen, ","); both {
		host, _, _ := net.SplitHostPort(at)
		hosts = append(hosts, host)
	}
	names := map[string]string{"Cert": "cluster.tls-cert", "Key": "cluster.tls-key", "CA": "cluster.tls-ca"}
	for _, p := range v.clusterTLS().Check(hosts...) {
		v.wrong(true, names[p.Field], "%s", p.Remedy)
	}
}

// clusterPlaintext checks that plain text stays on this machine.
func (v *validation) clusterPlaintext() {
	etcd, _, _ := strings.Cut(v.EtcdListen, ",")
	for _, named := range []struct {
		setting   string
		addresses []string
	}{
		{"cluster.listen", []string{string(v.Cluster)}}, {"cluster.advertise", []string{v.Advertise}},
		{"cluster.peers", v.Peers}, {"cluster.etcd", v.Etcd}, {"cluster.etcd-listen", []string{etcd}},
	} {
		for _, address := range named.addresses {
			host, _, err := net.SplitHostPort(address)
			v.wrong(err == nil && !cluster.IsLoopback(host), named.setting, "%q is not loopback, and nothing secures what goes there: set cluster.tls-cert, cluster.tls-key and cluster.tls-ca (corral cluster certs makes some to try), or cluster.insecure-plaintext where everybody on the network is trusted", address)
		}
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
