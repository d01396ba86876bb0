package etcd

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"syscall"
)

// Ports are chosen below those that systems give to outgoing connections, one of
// which might else have taken the port when the node starts again.
const (
	lowestPort  = 20_000
	highestPort = 32_000
	portTries   = 1_000
)

// newOffer chooses where etcd is to listen.
func newOffer(self, listen string) (Offer, error) {
	host, _, err := net.SplitHostPort(self)
	if err != nil {
		return Offer{}, err
	}
	var peer, client string
	if listen == "" {
		peer, client, err = freePorts(host)
	} else {
		host, peer, client, err = splitListen(listen)
	}
	if err != nil {
		return Offer{}, err
	}
	return Offer{ID: rand.Text(), Peer: net.JoinHostPort(host, peer), Client: net.JoinHostPort(host, client)}, nil
}

func (o Offer) at(host, peer, client string) bool {
	return o.Peer == net.JoinHostPort(host, peer) && o.Client == net.JoinHostPort(host, client)
}

// splitListen reads HOST:PEERPORT,CLIENTPORT.
func splitListen(listen string) (host, peer, client string, err error) {
	address, client, both := strings.Cut(listen, ",")
	host, peer, err = net.SplitHostPort(address)
	if !both || err != nil || host == "" || !isPort(peer) || !isPort(client) || peer == client {
		return "", "", "", fmt.Errorf("--cluster.etcd-listen %q is not HOST:PEERPORT,CLIENTPORT: name a host that the others reach, and two ports", listen)
	}
	return host, peer, client, nil
}

func isPort(text string) bool {
	n, err := net.LookupPort("tcp", text)
	return err == nil && n > 0 && text[0] >= '0' && text[0] <= '9'
}

// freePorts are two that nobody listens on.
func freePorts(host string) (peer, client string, err error) {
	var found []string
	for range portTries {
		port := fmt.Sprint(lowestPort + mathrand.IntN(highestPort-lowestPort))
		l, listenErr := net.Listen("tcp", net.JoinHostPort(host, port))
		if err = listenErr; errors.Is(err, syscall.EADDRINUSE) {
			continue
		} else if err != nil {
			break
		}
		_ = l.Close() // nothing came of it
		if found = append(found, port); len(found) == 2 && found[0] != found[1] {
			return found[0], found[1], nil
		}
		found = found[:1]
	}
	return "", "", fmt.Errorf("no free port on %q: %w: name a host of this machine and two ports (--cluster.etcd-listen)", host, err)
}
