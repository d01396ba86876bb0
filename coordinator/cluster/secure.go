package cluster

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

// TLSFiles are the paths of PEM files. They are looked at every ten seconds: what
// is found there is used from the next handshake on, unless it is of no use, and
// then the log says why and what was there before stays in use.
type TLSFiles struct {
	// Cert is this node's certificate, before those of its chain. It is for server
	// and for client authentication, and for the hosts of Advertise, or else of
	// Listen, and of EtcdListen.
	Cert string
	// Key is its key.
	Key string
	// CA are the authorities' certificates. Whoever has a certificate of theirs is
	// a node: they are the cluster's own.
	CA string
}

// A TLSProblem is what is wrong with one of the files.
type TLSProblem struct {
	Field  string // of TLSFiles
	File   string
	Remedy string // what is wrong, and what to do about it
}

// Check reports what is wrong with files of a node that is called by hosts.
func (f TLSFiles) Check(hosts ...string) (problems []TLSProblem) {
	for _, p := range identity.Check(identity.Files(f), hosts...) {
		problems = append(problems, TLSProblem(*p))
	}
	return problems
}

// identify reads the node's files, and reads them again while it lives.
func (n *Node) identify() error {
	if n.config.TLS == (TLSFiles{}) {
		return nil
	}
	secure, problems := identity.Read(identity.Files(n.config.TLS), n.log, n.config.hosts(n.advertised())...)
	var all []error
	for _, p := range problems {
		all = append(all, fmt.Errorf("cluster: Config.TLS.%w", p))
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	n.secure = secure
	n.spawn(func() { secure.Watch(n.ctx) })
	return nil
}

// hosts are those by which others call a node.
func (c Config) hosts(advertised string) []string {
	hosts := []string{hostOf(advertised)}
	if c.EtcdListen != "" {
		hosts = append(hosts, hostOf(c.EtcdListen))
	}
	return hosts
}

// CertificateEnds is when this node's certificate ends, or an authority's that
// vouches for it. It is zero without Config.TLS.
func (n *Node) CertificateEnds() time.Time {
	if n.secure == nil {
		return time.Time{}
	}
	return n.secure.Ends()
}

// hostOf is the host of host:port, or of host:port,port.
func hostOf(address string) string {
	address, _, _ = strings.Cut(address, ",")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// secured says what of a configuration would travel as it is over a network.
func (c Config) secured() (problems []string) {
	given := 0
	for _, file := range []string{c.TLS.Cert, c.TLS.Key, c.TLS.CA} {
		if file != "" {
			given++
		}
	}
	switch {
	case given == 3 && c.InsecurePlaintext:
		return []string{"Config.TLS and Config.InsecurePlaintext are both set: leave the latter out, nothing is plain text"}
	case given == 3 || given == 0 && c.InsecurePlaintext:
		return nil
	case given > 0:
		return []string{fmt.Sprintf("Config.TLS is %+v: set all of Cert, Key and CA, or none", c.TLS)}
	}
	listens := ""
	if c.Listener != nil && c.Listener.Addr().Network() == "tcp" {
		listens = c.Listener.Addr().String()
	}
	for _, named := range []struct {
		field     string
		addresses []string
	}{
		{"Listener", []string{listens}}, {"Listen", []string{c.Listen}}, {"Advertise", []string{c.Advertise}},
		{"EtcdListen", []string{c.EtcdListen}}, {"Peers", c.Peers}, {"Etcd", c.Etcd},
	} {
		for _, address := range named.addresses {
			if address != "" && !IsLoopback(hostOf(address)) {
				problems = append(problems, fmt.Sprintf("Config.%s has %q, which is not loopback, and nothing secures what goes there: set Config.TLS, or Config.InsecurePlaintext where everybody on the network is trusted", named.field, address))
			}
		}
	}
	return problems
}

// IsLoopback reports whether what is sent to a host stays on this machine, where
// plain text needs no Config.InsecurePlaintext.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
