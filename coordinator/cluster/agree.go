package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// renewApart is after what time a renewal without an answer is sent to another
// member of etcd as well. What is handed to a leader as it dies is never answered,
// and must not cost the time in which the next one could be asked.
const renewApart = 200 * time.Millisecond

// renew sends one renewal of the node's record; t0 was read before. The compare
// of one whose predecessor's answer was lost fails, and reads what there is: the
// nonce in the record says from when the lease counts.
func (n *Node) renew(a core.Renew, clock core.Time) {
	n.mu.Lock()
	record, rev, life := n.record, n.rev, n.self
	n.mu.Unlock()
	record.Nonce, record.Clock = a.Nonce, clock
	if a.Draining {
		record.State = core.Draining
	}
	key := etcd.NodeKey(life.Name)
	data, err := record.Encode()
	if err != nil {
		panic(err) // it was encoded before, when the node was registered
	}
	result, err := n.client.Urge(n.ctx, etcd.Txn{
		Require: map[string]uint64{key: rev},
		Put:     map[string][]byte{key: data},
		Read:    []string{key, etcd.TableKey, etcd.InvalidationsKey},
	}, renewApart, n.times.Lease-n.times.Guard-n.times.Renew) // later the lease would be out nearly as soon as it runs
	n.n.renewals.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.self != life {
		return
	}
	if err != nil {
		n.n.renewalsFailed.Add(1)
		n.quietly.say(saysNotRenewed, err)
		n.stepLocked(core.Renewed{})
		return
	}
	e := core.Renewed{OK: true, Nonce: a.Nonce, Table: result.Keys[etcd.TableKey].Revision, Inv: result.Keys[etcd.InvalidationsKey].Revision}
	found := result.Keys[key]
	if result.OK {
		n.rev, e.Record = result.Revision, result.Revision
	} else {
		present, err := etcd.DecodeNode(found.Value)
		if e.Gone = err != nil || present.Node != life || present.State == core.Tombstone; !e.Gone {
			n.rev, e.Record, e.Nonce = found.Revision, found.Revision, present.Nonce
		}
	}
	n.stepLocked(e)
}

// write sends a change of the table.
func (n *Node) write(a core.Write) {
	wrote := core.Wrote{ID: a.ID, Unknown: true}
	result, err := n.sendTable(a)
	switch {
	case err != nil:
		n.quietly.say(saysNotWritten, err)
	case result.OK:
		wrote = core.Wrote{ID: a.ID, OK: true, Table: result.Revision}
	default:
		wrote = core.Wrote{ID: a.ID, Table: result.Keys[etcd.TableKey].Revision}
	}
	n.step(wrote)
}

func (n *Node) sendTable(a core.Write) (etcd.Result, error) {
	table, err := etcd.EncodeTable(a.Table)
	if err != nil {
		return etcd.Result{}, err
	}
	txn := etcd.Txn{
		Require: map[string]uint64{etcd.TableKey: a.TableRevision},
		Put:     map[string][]byte{etcd.TableKey: table},
		Read:    []string{etcd.TableKey},
	}
	for _, b := range a.Bury {
		record := etcd.Node{NodeRecord: core.NodeRecord{Node: b.Node, State: core.Tombstone}}
		data, err := record.Encode()
		if err != nil {
			return etcd.Result{}, err
		}
		key := etcd.NodeKey(b.Node.Name)
		txn.Require[key], txn.Put[key] = b.Revision, data
	}
	return n.client.Write(n.ctx, txn)
}

// follow applies the watch from a revision on, until the node leaves. Where the
// history has a gap, everything is read anew, and what was invalidated from the
// log, as far as that reaches back.
func (n *Node) follow(from uint64) {
	for {
		err := n.client.Watch(n.ctx, from, n.apply)
		if n.lostTrack(err) {
			return
		}
		n.quietly.say(saysWatchEnded, err)
		for {
			snapshot, err := n.client.Read(n.ctx)
			if err == nil {
				n.resume(snapshot)
				from = snapshot.Revision + 1
				break
			}
			if n.lostTrack(err) {
				return
			}
			n.quietly.say(saysNotRead, err)
			if pause(n.ctx, n.times.Retry) != nil {
				return
			}
		}
		if pause(n.ctx, n.times.Retry) != nil { // a watch that is refused ends at once, each time
			return
		}
	}
}

// lostTrack reports whether the node can follow the cluster no longer: then it
// leaves.
func (n *Node) lostTrack(err error) bool {
	if n.ctx.Err() != nil {
		return true
	}
	if !errors.Is(err, etcd.ErrRolledBack) && !errors.Is(err, etcd.ErrClosed) {
		return false
	}
	n.say(saysLostTrack, "cause", err)
	n.cancel(fmt.Errorf("cluster: %w", err))
	return true
}

// apply takes in one revision of the watch: first the caches, then the core
// (N2).
func (n *Node) apply(change etcd.Change) {
	n.deliver.Lock()
	defer n.deliver.Unlock()
	if inv, there := change.Put[etcd.InvalidationsKey]; there {
		batch, err := etcd.DecodeInvalidations(inv.Value)
		if err != nil {
			n.quietly.say(saysBadInvalidation, err)
			n.missed(change.Revision)
		}
		n.invalidate(newEntry(change.Revision, batch))
	} else {
		n.invalidate(entry{revision: change.Revision})
	}
	changed := core.Changed{Revision: change.Revision}
	for key, kv := range change.Put {
		if name, is := etcd.NodeOf(key); is {
			if c, ok := n.nodeChange(name, kv); ok {
				changed.Nodes = append(changed.Nodes, c)
			}
		}
	}
	for _, key := range change.Deleted {
		if name, is := etcd.NodeOf(key); is {
			changed.Nodes = append(changed.Nodes, core.NodeChange{Name: name, Revision: change.Revision})
		}
	}
	if table, there := change.Put[etcd.TableKey]; there {
		changed.Table = n.readTable(table)
	}
	n.changed(changed)
}

// resume is apply for everything that etcd has, where revisions are missing. A
// record that is there no more was deleted meanwhile.
func (n *Node) resume(s etcd.Snapshot) {
	applied := n.applied.Load() // which only follow moves on
	entries, floor := n.past(n.ctx, s.Revision, applied)
	n.deliver.Lock()
	defer n.deliver.Unlock()
	n.resumed(s, entries, floor)
}

// resumed is resume with what the log says. Called with deliver held.
func (n *Node) resumed(s etcd.Snapshot, entries []entry, floor uint64) {
	if floor > n.applied.Load() {
		n.missed(floor)
	}
	for _, e := range entries {
		n.invalidate(e)
	}
	n.invalidate(entry{revision: s.Revision})
	changed := core.Changed{Revision: s.Revision, Nodes: n.nodeChanges(s)}
	for name := range n.records { // none is written without deliver
		if _, there := s.Keys[etcd.NodeKey(name)]; !there {
			changed.Nodes = append(changed.Nodes, core.NodeChange{Name: name, Revision: s.Revision})
		}
	}
	if table := s.Keys[etcd.TableKey]; table.Revision > n.agreed.Revision {
		// The core takes a table's revision for that of its write, and requires it
		// when it writes the next.
		changed.Table, changed.Revision = n.readTable(table), table.Revision
		n.changed(changed)
		changed = core.Changed{Revision: s.Revision}
	}
	n.changed(changed)
}

// changed hands a revision to the core. Called with deliver held, after the
// caches have applied it.
func (n *Node) changed(e core.Changed) {
	slices.SortFunc(e.Nodes, func(a, b core.NodeChange) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range e.Nodes {
		if c.Record != nil {
			n.compare(*c.Record)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.applied.Store(e.Revision)
	n.n.heard.Store(int64(boottime()))
	n.agreed.Revision = e.Revision
	for _, c := range e.Nodes {
		n.records[c.Name] = c
	}
	if e.Table != nil && (n.agreed.Table == nil || e.Table.Epoch > n.agreed.Table.Epoch) { // C4, also over lives
		n.agreed.Table = e.Table
	}
	if e.Table != nil {
		n.agreed.TableRevision = e.Revision // which is what writes compare with, whatever it is
	}
	n.stepLocked(e)
	n.placeLocked(e.Nodes)
}

// placeLocked tells the transport where the other nodes are.
func (n *Node) placeLocked(changes []core.NodeChange) {
	moved := false
	for _, c := range changes {
		moved = n.notePlace(c) || moved
	}
	if moved {
		n.peers.SetPeers(n.places)
	}
}

// notePlace notes where a node is, and reports whether that is news.
func (n *Node) notePlace(c core.NodeChange) bool {
	place := peer.Place{}
	if c.Record != nil && c.Record.State != core.Tombstone && c.Record.Address != "" {
		place = peer.Place{Address: c.Record.Address, Incarnation: c.Record.Incarnation}
	}
	if n.places[c.Name] == place {
		return false
	}
	if n.places[c.Name] = place; place == (peer.Place{}) {
		delete(n.places, c.Name)
	}
	return true
}

func (n *Node) nodeChange(name string, kv etcd.KV) (core.NodeChange, bool) {
	record, err := etcd.DecodeNode(kv.Value)
	if err != nil || record.Name != name {
		n.quietly.say(saysBadRecord, err, "node", name)
		return core.NodeChange{}, false
	}
	return core.NodeChange{Name: name, Record: &record.NodeRecord, Revision: kv.Revision}, true
}

func (n *Node) nodeChanges(s etcd.Snapshot) []core.NodeChange {
	var changes []core.NodeChange
	for key, kv := range s.Keys {
		if name, is := etcd.NodeOf(key); is {
			if c, ok := n.nodeChange(name, kv); ok {
				changes = append(changes, c)
			}
		}
	}
	return changes
}

// readTable decodes a table. One that this version cannot read is one by whose
// rules it cannot play: it leaves.
func (n *Node) readTable(kv etcd.KV) *core.Table {
	table, err := etcd.DecodeTable(kv.Value)
	if err == nil && len(table.Owner) != n.cluster.Partitions {
		err = fmt.Errorf("it has %d partitions, and the cluster %d", len(table.Owner), n.cluster.Partitions)
	}
	if err != nil {
		n.say(saysNoTable, "cause", err)
		n.cancel(fmt.Errorf("cluster: read the table: %w", err))
		return nil
	}
	return table
}
