package server

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The types of settings that are lists: in text with commas between, in the
// file also as a list of YAML. An empty text is an empty list.

// elements gives the elements of a list to read, in their order.
func elements(text []byte, read func(element string) error) error {
	if len(text) == 0 {
		return nil
	}
	for element := range strings.SplitSeq(string(text), ",") {
		element = strings.TrimSpace(element)
		if element == "" {
			return errors.New("an element of the list is empty: take out the comma too many")
		}
		if err := read(element); err != nil {
			return err
		}
	}
	return nil
}

// joinList writes a list as elements reads it.
func joinList[T any](list []T, text func(T) string) string {
	var b strings.Builder
	for i, element := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text(element))
	}
	return b.String()
}

// Words is a list of names, methods, files and the like. It is not nil once it
// has been set.
type Words []string

func (w *Words) UnmarshalText(text []byte) error {
	read := Words{}
	err := elements(text, func(word string) error { read = append(read, word); return nil })
	if err == nil {
		*w = read
	}
	return err
}

func (w Words) String() string { return strings.Join(w, ", ") }

// Prefixes is a list of addresses and of networks.
type Prefixes []netip.Prefix

func (p *Prefixes) UnmarshalText(text []byte) error {
	var read Prefixes
	err := elements(text, func(word string) error {
		if addr, err := netip.ParseAddr(word); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			read = append(read, netip.PrefixFrom(addr, addr.BitLen()))
			return nil
		}
		prefix, err := netip.ParsePrefix(word)
		if err != nil || prefix.Addr().Is4In6() {
			return fmt.Errorf("%q is neither an address nor a network: write them as 10.0.0.7 and 10.1.0.0/16", word)
		}
		read = append(read, prefix.Masked())
		return nil
	})
	if err == nil {
		*p = read
	}
	return err
}

func (p Prefixes) String() string {
	return joinList(p, func(prefix netip.Prefix) string {
		if prefix.IsSingleIP() {
			return prefix.Addr().String()
		}
		return prefix.String()
	})
}

// contains reports whether an address is one of the list.
func (p Prefixes) contains(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// A PoolServer is one server of a pool, written as its URL and, where it should
// not be 1, its weight: http://10.0.0.1:9000 weight=2.
type PoolServer struct {
	Origin
	Weight int
}

// PoolServers are the servers of a pool.
type PoolServers []PoolServer

func (p *PoolServers) UnmarshalText(text []byte) error {
	var read PoolServers
	err := elements(text, func(element string) error {
		server := PoolServer{Weight: 1}
		words := strings.Fields(element)
		if len(words) > 1 {
			weight, isWeight := strings.CutPrefix(words[1], "weight=")
			n, err := strconv.ParseUint(weight, 10, 16)
			if !isWeight || len(words) > 2 || err != nil || n == 0 {
				return fmt.Errorf("after %s write nothing, or a weight from 1 to 65535, as weight=2", withoutPassword(words[0]))
			}
			server.Weight = int(n)
		}
		read = append(read, server)
		return read[len(read)-1].Origin.UnmarshalText([]byte(words[0]))
	})
	if err == nil {
		*p = read
	}
	return err
}

func (p PoolServers) String() string {
	return joinList(p, func(server PoolServer) string {
		if server.Weight > 1 {
			return fmt.Sprintf("%s weight=%d", server.Origin, server.Weight)
		}
		return server.Origin.String()
	})
}

// A Lifetime is a duration that may be left to the origin, by not setting it;
// 0s is none at all.
type Lifetime struct {
	given bool
	d     time.Duration
}

func (l *Lifetime) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return errors.New("write a number and a unit, as 500ms, 30s or 2m, or 0s for none")
	}
	*l = Lifetime{given: true, d: d}
	return nil
}

func (l Lifetime) String() string {
	if !l.given {
		return ""
	}
	return l.d.String()
}

// option writes a Lifetime as the fields of an httpcache.Rule have it: 0 where
// it is not set, negative for none.
func (l Lifetime) option() time.Duration {
	if l.given && l.d == 0 {
		return -1
	}
	return l.d
}
