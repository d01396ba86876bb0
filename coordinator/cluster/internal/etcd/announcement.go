package etcd

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// An Offer is what a node that is to run etcd has chosen for it. It is written
// down before anybody is told, and stays the same for as long as the directory:
// an offer with another ID is of another directory.
type Offer struct {
	ID     string `json:"id"`     // of the directory
	Peer   string `json:"peer"`   // host:port for the other members
	Client string `json:"client"` // host:port for clients
}

// An Agreement is what etcd was begun with: all its members' offers, by the
// addresses of their nodes, and the UUID that follows from them.
type Agreement struct {
	Cluster string           `json:"cluster"`
	Members map[string]Offer `json:"members"`
}

// agree makes offers into an agreement. Whoever has the same offers comes to the
// same UUID, and to another with any other: so it takes no vote.
func agree(members map[string]Offer) Agreement {
	sum := sha256.New()
	for _, address := range slices.Sorted(maps.Keys(members)) {
		o := members[address]
		fmt.Fprintf(sum, "%q %q %q %q\n", address, o.ID, o.Peer, o.Client)
	}
	h := sum.Sum(nil)
	return Agreement{Cluster: fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16]), Members: members}
}

// endpoints are the members' client addresses, that of the node first, if it is
// one.
func (a Agreement) endpoints(first string) []string {
	all := make([]string, 0, len(a.Members))
	for _, address := range slices.Sorted(maps.Keys(a.Members)) {
		if address == first {
			all = slices.Insert(all, 0, a.Members[address].Client)
		} else {
			all = append(all, a.Members[address].Client)
		}
	}
	return all
}

// An Announcement is what nodes tell each other until they know where etcd is.
type Announcement struct {
	Format int        `json:"format"`
	From   string     `json:"from"`            // the node's address
	Voters []string   `json:"voters"`          // where etcd is to run, by this node's configuration
	New    bool       `json:"new,omitempty"`   // this node may begin a cluster
	Offer  *Offer     `json:"offer,omitempty"` // of one of the voters
	Agreed *Agreement `json:"agreed,omitempty"`
}

const (
	maxAnnouncement = 16 << 10 // bytes
	maxAddress      = 256 + 6  // bytes: a host name and a port
	maxVoters       = 3
)

func (a Announcement) encode() ([]byte, error) {
	a.Format = format
	return json.Marshal(a)
}

func decodeAnnouncement(data []byte) (Announcement, error) {
	if len(data) > maxAnnouncement {
		return Announcement{}, unreadable("announcement", fmt.Errorf("%d bytes: %d are allowed", len(data), maxAnnouncement))
	}
	a, err := decode[Announcement]("announcement", data)
	if err != nil {
		return Announcement{}, err
	}
	return checked("announcement", a, a.check())
}

func (a Announcement) check() error {
	if len(a.Voters) != 1 && len(a.Voters) != maxVoters {
		return fmt.Errorf("it names %d nodes for etcd: 1 or %d are allowed", len(a.Voters), maxVoters)
	}
	for _, address := range append([]string{a.From}, a.Voters...) {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if a.Offer != nil {
		if err := a.Offer.check(); err != nil {
			return err
		}
	}
	if a.Agreed != nil {
		return a.Agreed.check()
	}
	return nil
}

func (o Offer) check() error {
	return errors.Join(checkName("id", o.ID), checkAddress(o.Peer), checkAddress(o.Client))
}

func (a Agreement) check() error {
	if len(a.Members) != 1 && len(a.Members) != maxVoters {
		return fmt.Errorf("the agreement has %d members: 1 or %d are allowed", len(a.Members), maxVoters)
	}
	for address, offer := range a.Members {
		if err := errors.Join(checkAddress(address), offer.check()); err != nil {
			return err
		}
	}
	if want := agree(a.Members).Cluster; a.Cluster != want {
		return fmt.Errorf("its cluster %q is not its members', %s", a.Cluster, want)
	}
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || len(address) > maxAddress || strings.ContainsAny(address, ",= \x00") {
		return fmt.Errorf("%.64q is not host:port: name it so", address)
	}
	return checkPlain("address", address)
}
