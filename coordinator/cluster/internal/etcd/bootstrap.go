package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	DefaultPatience = time.Minute

	askEvery  = 200 * time.Millisecond
	askWithin = time.Second
)

// ErrBegin says that the nodes do not fit together, or that this one cannot take
// part as it is: a repeat comes to the same.
var ErrBegin = errors.New("cannot begin")

// BootstrapConfig says who is to run etcd.
type BootstrapConfig struct {
	// Self is this node's address, host:port, as the others' Peers have it.
	Self string

	// Peers are the nodes' addresses. etcd runs on the first three, or on the
	// first if there are fewer: all nodes name the same ones there. Those that
	// follow need not be named everywhere.
	Peers []string

	// Dir is the data directory, locked by this process: see LockDir.
	Dir string

	// New: a cluster may be begun. One of the nodes that run etcd has to say so,
	// and it makes no difference where there is one already.
	New bool

	// Listen is where etcd listens if this node runs it, HOST:PEERPORT,CLIENTPORT.
	// Default: the host of Self, and two ports that were free when the directory
	// was new.
	Listen string

	// Patience is how long a node without a cluster waits for those that are to
	// begin it or know of it. Default: DefaultPatience.
	Patience time.Duration

	// Ask tells a node what this one knows and returns its answer, which is what
	// its Bootstrap.Answer returned.
	Ask func(ctx context.Context, address string, announcement []byte) ([]byte, error)

	// Log is told what is waited for. Default: slog.Default().
	Log *slog.Logger
}

// Bootstrap finds out, with the other nodes, where etcd runs.
//
// Invariants:
//
//	B1. A node agrees once, and writes it down before it acts or tells anybody.
//	B2. An agreement is made of the offers of all voters, one of whom may begin a
//	    cluster. Two agreements have no quorum of etcd each: that would take two
//	    of three voters, and one of them to agree twice.
//	B3. A node that finds a cluster agrees to it only if its own offer, if it is a
//	    voter, is in it: an empty directory never takes a lost one's place.
type Bootstrap struct {
	config BootstrapConfig
	voters []string // sorted

	mu    sync.Mutex
	mine  Announcement
	known map[string]Announcement // by address
}

// NewBootstrap reads what the directory knows, and makes an offer if it knows
// nothing. From then on Answer may be called.
func NewBootstrap(config BootstrapConfig) (*Bootstrap, error) {
	if config.Patience == 0 {
		config.Patience = DefaultPatience
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	b := &Bootstrap{config: config, known: make(map[string]Announcement)}
	if err := b.begin(); err != nil {
		return nil, fmt.Errorf("etcd: %w: %w", ErrBegin, err)
	}
	return b, nil
}

func (b *Bootstrap) begin() error {
	for _, address := range append([]string{b.config.Self}, b.config.Peers...) {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	all := slices.Sorted(slices.Values(b.config.Peers))
	if len(all) == 0 {
		return errors.New("no peers: name the nodes' addresses (--cluster.peers)")
	}
	if unique := slices.Compact(slices.Clone(all)); len(unique) != len(all) {
		return fmt.Errorf("the peers %q name a node twice: name each once", b.config.Peers)
	}
	b.voters = slices.Sorted(slices.Values(b.config.Peers[:votersOf(len(b.config.Peers))]))
	b.mine = Announcement{From: b.config.Self, Voters: b.voters, New: b.config.New}
	return b.recall()
}

func votersOf(peers int) int {
	if peers < maxVoters {
		return 1
	}
	return maxVoters
}

func (b *Bootstrap) votes() bool { return slices.Contains(b.voters, b.config.Self) }

func (b *Bootstrap) path() string { return filepath.Join(b.config.Dir, "etcd-begin") }

// recall reads what was written down: an announcement of this node's own.
func (b *Bootstrap) recall() error {
	data, err := os.ReadFile(b.path())
	if errors.Is(err, os.ErrNotExist) {
		return b.offer()
	}
	if err != nil {
		return Embedded{Dir: b.config.Dir}.explain(err)
	}
	old, err := decodeAnnouncement(data)
	if err != nil {
		return fmt.Errorf("%s: %w", b.path(), err)
	}
	if old.Agreed == nil && (old.From != b.config.Self || !slices.Equal(old.Voters, b.voters) || !b.listensAt(old.Offer)) {
		return b.offer() // nothing has come of the old one
	}
	switch {
	case old.From != b.config.Self && (b.votes() || old.Offer != nil):
		return fmt.Errorf("the data directory %s is of the node at %s, not of %s: name the right one (--cluster.dir), or the address that the node had", b.config.Dir, old.From, b.config.Self)
	case old.Agreed != nil && !slices.Equal(voters(*old.Agreed), b.voters):
		return fmt.Errorf("the etcd of this cluster runs on %q, and --cluster.peers would have it on %q: name the former first", voters(*old.Agreed), b.voters)
	case !b.listensAt(old.Offer):
		return fmt.Errorf("the etcd of this node is known to the others at %s and %s: leave out --cluster.etcd-listen, or set it to that", old.Offer.Peer, old.Offer.Client)
	}
	b.mine.Offer, b.mine.Agreed = old.Offer, old.Agreed
	return nil
}

func voters(a Agreement) []string { return slices.Sorted(maps.Keys(a.Members)) }

// listensAt reports whether an offer is what the configuration asks for.
func (b *Bootstrap) listensAt(o *Offer) bool {
	if !b.votes() || o == nil {
		return b.votes() == (o != nil)
	}
	host, peer, client, err := splitListen(b.config.Listen)
	return b.config.Listen == "" || err == nil && o.at(host, peer, client)
}

// offer chooses ports, if this node is to run etcd, and writes them down.
func (b *Bootstrap) offer() error {
	if b.votes() {
		offer, err := newOffer(b.config.Self, b.config.Listen)
		if err != nil {
			return err
		}
		b.mine.Offer = &offer
	}
	return b.writeDown(b.mine)
}

func (b *Bootstrap) writeDown(a Announcement) error {
	data, err := a.encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.config.Dir, 0o700); err != nil {
		return Embedded{Dir: b.config.Dir}.explain(err)
	}
	return Embedded{Dir: b.config.Dir}.explain(writeWhole(b.path(), data))
}

// Answer takes in what another node knows, and returns what this one does. vouch
// is asked whether the node is at the address that it says.
func (b *Bootstrap) Answer(announcement []byte, vouch func(from string) error) ([]byte, error) {
	theirs, err := decodeAnnouncement(announcement)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := vouch(theirs.From); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[theirs.From] = theirs
	return b.mine.encode()
}

// A Plan is what a node does about etcd.
type Plan struct {
	Cluster   string    // its UUID
	Endpoints []string  // for Config.Endpoints
	Server    *Embedded // for Start, but for its timers, quota and log; nil: none here
}

// Run returns once it is known where etcd runs: at once if the directory knows.
func (b *Bootstrap) Run(ctx context.Context) (Plan, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.config.Patience, errPatience)
	defer cancel()
	var failures map[string]error
	for first := true; ; first = false {
		plan, err := b.decide()
		if err != nil {
			return Plan{}, fmt.Errorf("etcd: %w: %w", ErrBegin, err)
		}
		if plan != nil {
			return *plan, nil
		}
		if others := b.others(); len(others) == 0 {
			return Plan{}, fmt.Errorf("etcd: %w: the data directory %s is empty, and there is nobody to ask: begin a cluster with --cluster.new, or name the right directory", ErrBegin, b.config.Dir)
		} else if first {
			b.config.Log.Info("looking for the cluster", "self", b.config.Self, "peers", others)
		} else if pause(ctx, askEvery); ctx.Err() != nil {
			return Plan{}, b.givenUp(ctx, failures)
		}
		failures = b.ask(ctx)
	}
}

var errPatience = errors.New("patience is at its end")

// ask has every other node answer, or not.
func (b *Bootstrap) ask(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	b.mu.Lock()
	mine, err := b.mine.encode()
	b.mu.Unlock()
	failures := make(map[string]error)
	if err != nil {
		failures[b.config.Self] = err
		return failures
	}
	var all sync.WaitGroup
	for _, address := range b.others() {
		all.Go(func() {
			err := b.askOne(ctx, address, mine)
			b.mu.Lock()
			defer b.mu.Unlock()
			if err != nil {
				failures[address] = err
				delete(b.known, address) // it may be back with another directory
			}
		})
	}
	all.Wait()
	return failures
}

func (b *Bootstrap) askOne(ctx context.Context, address string, mine []byte) error {
	answer, err := b.config.Ask(ctx, address, mine)
	if err != nil {
		return err
	}
	theirs, err := decodeAnnouncement(answer)
	if err != nil {
		return err
	}
	if theirs.From != address {
		return fmt.Errorf("the node there calls itself %s: it must be named alike everywhere", theirs.From)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[address] = theirs
	return nil
}

func (b *Bootstrap) others() []string {
	return slices.DeleteFunc(slices.Clone(b.config.Peers), func(address string) bool { return address == b.config.Self })
}

// decide agrees if it can. Without a plan and an error, others must be heard.
func (b *Bootstrap) decide() (*Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mine.Agreed == nil {
		agreement, err := b.agreementLocked()
		if agreement == nil || err != nil {
			return nil, err
		}
		agreed := b.mine
		agreed.Agreed = agreement
		if err := b.writeDown(agreed); err != nil { // B1
			return nil, err
		}
		b.mine = agreed
		b.config.Log.Info("the cluster is known", "cluster", agreement.Cluster, "etcd", voters(*agreement))
	}
	return b.planLocked(), nil
}

// agreementLocked is the cluster that others know of, or that can be begun now.
func (b *Bootstrap) agreementLocked() (found *Agreement, err error) {
	offers, mayBegin := make(map[string]Offer), b.votes() && b.mine.New
	if b.votes() {
		offers[b.config.Self] = *b.mine.Offer
	}
	for _, address := range slices.Sorted(maps.Keys(b.known)) {
		theirs := b.known[address]
		if !slices.Equal(theirs.Voters, b.voters) {
			return nil, fmt.Errorf("the first of --cluster.peers are %q here and %q at %s: name the same ones everywhere", b.voters, theirs.Voters, address)
		}
		if theirs.Agreed != nil {
			if found != nil && found.Cluster != theirs.Agreed.Cluster {
				return nil, fmt.Errorf("two clusters meet: %s, and %s at %s: take one's nodes out of --cluster.peers, or empty their directories", found.Cluster, theirs.Agreed.Cluster, address)
			}
			found = theirs.Agreed
		}
		if theirs.Offer != nil && slices.Contains(b.voters, address) {
			offers[address] = *theirs.Offer
			mayBegin = mayBegin || theirs.New
		}
	}
	switch {
	case found != nil && b.votes() && found.Members[b.config.Self] != *b.mine.Offer: // B3
		return nil, fmt.Errorf("cluster %s has this node at %s with another data directory than %s: name that one (--cluster.dir); if it is lost, start this node under another address, behind the others in --cluster.peers", found.Cluster, b.config.Self, b.config.Dir)
	case found != nil:
		return found, nil
	case mayBegin && len(offers) == len(b.voters): // B2
		agreement := agree(offers)
		return &agreement, nil
	}
	return nil, nil
}

func (b *Bootstrap) planLocked() *Plan {
	agreed := *b.mine.Agreed
	plan := &Plan{Cluster: agreed.Cluster, Endpoints: agreed.endpoints(b.config.Self)}
	mine, votes := agreed.Members[b.config.Self]
	if !votes {
		return plan
	}
	plan.Server = &Embedded{
		Dir: b.config.Dir, Name: b.config.Self, Peer: mine.Peer, Client: mine.Client,
		Members: make(map[string]string), New: true, Token: agreed.Cluster,
	}
	for address, offer := range agreed.Members {
		plan.Server.Members[address] = offer.Peer
	}
	return plan
}

// givenUp says what was waited for.
func (b *Bootstrap) givenUp(ctx context.Context, failures map[string]error) error {
	var silent []string
	for _, address := range slices.Sorted(maps.Keys(failures)) {
		silent = append(silent, fmt.Sprintf("%s (%v)", address, failures[address]))
	}
	why := "no node that runs etcd was started with --cluster.new"
	if len(silent) > 0 {
		why = "no answer from " + strings.Join(silent, ", ")
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errPatience) {
		return fmt.Errorf("etcd: no cluster was found: %s: start the other nodes: %w", why, cause)
	}
	return fmt.Errorf("etcd: %w: the data directory %s is empty, and within %v no cluster was found: %s: start the other nodes; if there has never been a cluster, with --cluster.new", ErrBegin, b.config.Dir, b.config.Patience, why)
}
