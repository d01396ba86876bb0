package httpcache

import (
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// client is who makes a request: the peer of its connection, or, as far as that
// and those before it are trusted, whom they name in X-Forwarded-For. The
// address is invalid when there is none.
func (c *config) client(r *http.Request) (addr netip.Addr, trusted bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	addr = peer.Addr().Unmap()
	if !c.trusts(addr) {
		return addr, false
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		named, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // what stands before it was told by somebody who cannot write addresses
		}
		addr = named.Unmap()
		if !c.trusts(addr) {
			break
		}
	}
	return addr, true
}

func (c *config) trusts(addr netip.Addr) bool {
	for _, prefix := range c.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// scheme is how the client made the request: a trusted proxy may have taken TLS
// off.
func (c *config) scheme(r *http.Request) string {
	if len(c.TrustedProxies) > 0 {
		if _, trusted := c.client(r); trusted {
			switch proto := r.Header["X-Forwarded-Proto"]; {
			case len(proto) == 1 && strings.EqualFold(proto[0], "https"):
				return "https"
			case len(proto) == 1 && strings.EqualFold(proto[0], "http"):
				return "http"
			}
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// mayFetch reports whether the client may make the cache fetch another address
// in this minute, or wait for one that is being fetched, until fetched is
// called. Those of an IPv6 network of 64 bits, which one machine may have to
// itself, count as one.
func (x *exchange) mayFetch(name string) bool {
	if x.c.KeysPerMinute == 0 {
		return true
	}
	addr, _ := x.c.client(x.r)
	if addr.Is6() {
		network, _ := addr.Prefix(64)
		addr = network.Addr()
	}
	hash := fnv.New64a()
	bytes := addr.As16()
	binary.Write(hash, binary.BigEndian, bytes[:])
	return x.d.fresh.begin(name, hash.Sum64(), x.c.KeysPerMinute, x.d.now())
}

func (x *exchange) fetched(name string) {
	if x.c.KeysPerMinute > 0 {
		x.d.fresh.end(name)
	}
}

// newcomers count the addresses that each client makes the cache fetch in a
// minute. A client is counted by a hash: two that share one share its limit.
type newcomers struct {
	mu       sync.Mutex
	minute   int64
	counts   [4096]int
	fetching map[string]int // the entries that are waited for, and by how many
}

// begin notes that a client waits for an entry. It counts if nobody does yet;
// over the limit it may not.
func (n *newcomers) begin(name string, client uint64, limit int, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if minute := now.Unix() / 60; minute != n.minute {
		n.minute, n.counts = minute, [len(n.counts)]int{}
	}
	if n.fetching[name] == 0 {
		count := &n.counts[client%uint64(len(n.counts))]
		if *count == limit {
			return false
		}
		*count++
	}
	if n.fetching == nil {
		n.fetching = map[string]int{}
	}
	n.fetching[name]++
	return true
}

func (n *newcomers) end(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fetching[name]--; n.fetching[name] == 0 {
		delete(n.fetching, name)
	}
}
