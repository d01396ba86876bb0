package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	corral "github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// The keys, below the prefix.
const (
	ClusterKey       = "cluster"
	TableKey         = "table"
	InvalidationsKey = "inv"
	TurnKey          = "turn" // who starts its member of etcd anew
	nodePrefix       = "node/"
)

// NodeKey is the key of a node's record.
func NodeKey(name string) string { return nodePrefix + name }

// NodeOf is the node whose record is under a key, if one is.
func NodeOf(key string) (name string, ok bool) { return strings.CutPrefix(key, nodePrefix) }

// Limits of what is kept in etcd.
const (
	MaxNameBytes     = 128 // of node names, addresses, zones, directories' and clusters' ids
	MaxPartitions    = 1 << 15
	MaxNodes         = 1 << 10 // that a table names
	MaxWeight        = 1 << 20
	MaxInvalidations = 1000
)

// ErrFormat says that a record is of a format that this version does not know,
// or breaks a rule of the one it names.
var ErrFormat = errors.New("unreadable record")

// format is the one that is written, and the only one that is read. It changes
// when an older version would misread what a newer one writes; a field that an
// older version may ignore does not change it.
const format = 1

// Cluster is what never changes.
type Cluster struct {
	UUID       string
	Partitions int
	HashKey    [16]byte
	Version    uint32 // of the protocol, when it was begun
}

// Node is one node's record, with the version of the protocol that it speaks.
type Node struct {
	core.NodeRecord
	Version uint32
}

// Invalidation is one target, in one cache.
type Invalidation struct {
	Cache string
	corral.Target
}

// The records are JSON, so that an operator can read them with etcdctl. What may
// be any bytes, a cache's name and keys among them, is written in base64: JSON
// would silently mend what is not UTF-8.
type (
	header struct {
		Format int `json:"format"`
	}
	clusterRecord struct {
		header
		UUID       string `json:"uuid"`
		Partitions int    `json:"partitions"`
		HashKey    []byte `json:"hashKey"`
		Version    uint32 `json:"version"`
	}
	nodeRecord struct {
		header
		Name        string         `json:"name"`
		Incarnation uint64         `json:"incarnation"`
		State       core.NodeState `json:"state"`
		Weight      int            `json:"weight"`
		Address     string         `json:"address,omitempty"`
		Zone        string         `json:"zone,omitempty"`
		Nonce       uint64         `json:"nonce"`
		Dir         string         `json:"dir,omitempty"`
		Clock       core.Time      `json:"clock"`
		Version     uint32         `json:"version"`
	}
	tableRecord struct {
		header
		Epoch uint64      `json:"epoch"`
		Nodes []tableNode `json:"nodes"`
		Owner []uint16    `json:"owner"`
		Gen   []uint64    `json:"gen"`
	}
	tableNode struct {
		Name        string `json:"name"`
		Incarnation uint64 `json:"incarnation"`
	}
	invalidationsRecord struct {
		header
		Targets []targetRecord `json:"targets"`
	}
	targetRecord struct {
		Cache    []byte   `json:"cache"`
		Keys     [][]byte `json:"keys,omitempty"`
		Prefixes [][]byte `json:"prefixes,omitempty"`
		Tags     [][]byte `json:"tags,omitempty"`
		All      bool     `json:"all,omitempty"`
		Soft     bool     `json:"soft,omitempty"`
	}
)

// Encode returns the record's bytes, or what is wrong with it.
func (c Cluster) Encode() ([]byte, error) {
	return encode("cluster", c.check(), clusterRecord{header{format}, c.UUID, c.Partitions, c.HashKey[:], c.Version})
}

// DecodeCluster reads what Cluster.Encode wrote.
func DecodeCluster(data []byte) (Cluster, error) {
	r, err := decode[clusterRecord]("cluster", data)
	if err != nil {
		return Cluster{}, err
	}
	c := Cluster{UUID: r.UUID, Partitions: r.Partitions, Version: r.Version}
	if n := copy(c.HashKey[:], r.HashKey); n != len(c.HashKey) || n != len(r.HashKey) {
		return Cluster{}, unreadable("cluster", fmt.Errorf("its hash key has %d bytes, and needs %d", len(r.HashKey), len(c.HashKey)))
	}
	return checked("cluster", c, c.check())
}

func (c Cluster) check() error {
	if c.Partitions < 1 || c.Partitions > MaxPartitions {
		return fmt.Errorf("%d partitions: between 1 and %d are allowed", c.Partitions, MaxPartitions)
	}
	return checkName("UUID", c.UUID)
}

// Encode returns the record's bytes, or what is wrong with it.
func (n Node) Encode() ([]byte, error) {
	return encode("node", n.check(), nodeRecord{
		header{format}, n.Name, n.Incarnation, n.State, n.Weight, n.Address, n.Zone, n.Nonce, n.Dir, n.Clock, n.Version,
	})
}

// DecodeNode reads what Node.Encode wrote.
func DecodeNode(data []byte) (Node, error) {
	r, err := decode[nodeRecord]("node", data)
	if err != nil {
		return Node{}, err
	}
	n := Node{Version: r.Version, NodeRecord: core.NodeRecord{
		Node:  core.Node{Name: r.Name, Incarnation: r.Incarnation},
		State: r.State, Weight: r.Weight, Address: r.Address, Zone: r.Zone, Nonce: r.Nonce, Dir: r.Dir, Clock: r.Clock,
	}}
	return checked("node", n, n.check())
}

func (n Node) check() error {
	if n.State > core.Tombstone {
		return fmt.Errorf("node %q is in state %d, and there are %d", n.Name, n.State, core.Tombstone+1)
	}
	if n.Weight < 0 || n.Weight > MaxWeight {
		return fmt.Errorf("node %q has weight %d: between 0 and %d are allowed", n.Name, n.Weight, MaxWeight)
	}
	if err := checkName("name", n.Name); err != nil {
		return err
	}
	return errors.Join(checkText("address", n.Address), checkText("zone", n.Zone), checkText("directory", n.Dir))
}

// EncodeTable returns the table's bytes, or what is wrong with it.
func EncodeTable(t *core.Table) ([]byte, error) {
	r := tableRecord{header: header{format}, Epoch: t.Epoch, Owner: t.Owner, Gen: t.Gen}
	for _, n := range t.Nodes {
		r.Nodes = append(r.Nodes, tableNode{n.Name, n.Incarnation})
	}
	return encode("table", checkTable(t), r)
}

// DecodeTable reads what EncodeTable wrote.
func DecodeTable(data []byte) (*core.Table, error) {
	r, err := decode[tableRecord]("table", data)
	if err != nil {
		return nil, err
	}
	t := &core.Table{Epoch: r.Epoch, Owner: r.Owner, Gen: r.Gen}
	for _, n := range r.Nodes {
		t.Nodes = append(t.Nodes, core.Node{Name: n.Name, Incarnation: n.Incarnation})
	}
	if err := checkTable(t); err != nil {
		return nil, unreadable("table", err)
	}
	return t, nil
}

func checkTable(t *core.Table) error {
	if n := len(t.Owner); n < 1 || n > MaxPartitions || n != len(t.Gen) {
		return fmt.Errorf("it has owners for %d partitions and generations for %d: between 1 and %d of both are allowed", n, len(t.Gen), MaxPartitions)
	}
	if len(t.Nodes) > MaxNodes {
		return fmt.Errorf("it names %d nodes: %d are allowed", len(t.Nodes), MaxNodes)
	}
	for _, n := range t.Nodes {
		if err := checkName("name of a node", n.Name); err != nil {
			return err
		}
	}
	for p, owner := range t.Owner {
		if int(owner) > len(t.Nodes) {
			return fmt.Errorf("partition %d has owner %d, and it names %d", p, owner, len(t.Nodes))
		}
	}
	return nil
}

// EncodeInvalidations returns a batch's bytes, or what is wrong with it.
func EncodeInvalidations(batch []Invalidation) ([]byte, error) {
	r := invalidationsRecord{header: header{format}}
	for _, one := range batch {
		r.Targets = append(r.Targets, targetRecord{
			[]byte(one.Cache), toBytes(one.Keys), toBytes(one.Prefixes), toBytes(one.Tags), one.All, one.Soft,
		})
	}
	return encode("invalidations", checkBatch(len(batch)), r)
}

// DecodeInvalidations reads what EncodeInvalidations wrote.
func DecodeInvalidations(data []byte) ([]Invalidation, error) {
	r, err := decode[invalidationsRecord]("invalidations", data)
	if err != nil {
		return nil, err
	}
	batch := make([]Invalidation, 0, len(r.Targets))
	for _, one := range r.Targets {
		batch = append(batch, Invalidation{string(one.Cache), corral.Target{
			Keys: toStrings(one.Keys), Prefixes: toStrings(one.Prefixes), Tags: toStrings(one.Tags), All: one.All, Soft: one.Soft,
		}})
	}
	return checked("invalidations", batch, checkBatch(len(batch)))
}

func checkBatch(n int) error {
	if n > MaxInvalidations {
		return fmt.Errorf("a batch of %d: %d are allowed", n, MaxInvalidations)
	}
	return nil
}

func toBytes(texts []string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func toStrings(texts [][]byte) (all []string) {
	for _, text := range texts {
		all = append(all, string(text))
	}
	return all
}

func checkName(field, name string) error {
	if name == "" {
		return fmt.Errorf("the %s is empty", field)
	}
	return checkText(field, name)
}

func checkText(field, text string) error {
	if len(text) > MaxNameBytes {
		return fmt.Errorf("the %s %.16q… has %d bytes: %d are allowed", field, text, len(text), MaxNameBytes)
	}
	return checkPlain(field, text)
}

func checkPlain(field, text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("the %s %q is not plain text in UTF-8", field, text)
	}
	return nil
}

func encode(what string, wrong error, record any) ([]byte, error) {
	if wrong != nil {
		return nil, fmt.Errorf("etcd: record %q: %w", what, wrong)
	}
	data, err := json.Marshal(record)
	if err == nil && len(data) > MaxTxnBytes {
		err = fmt.Errorf("%d bytes: %d are allowed", len(data), MaxTxnBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("etcd: record %q: %w", what, err)
	}
	return data, nil
}

func decode[T any](what string, data []byte) (record T, err error) {
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		return record, unreadable(what, err)
	}
	if h.Format != format {
		return record, unreadable(what, fmt.Errorf("it is of format %d, and this version knows %d: upgrade this node, or find out who wrote it", h.Format, format))
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, unreadable(what, err)
	}
	return record, nil
}

func checked[T any](what string, record T, wrong error) (T, error) {
	if wrong != nil {
		var none T
		return none, unreadable(what, wrong)
	}
	return record, nil
}

func unreadable(what string, cause error) error {
	return fmt.Errorf("etcd: record %q: %w: %w", what, ErrFormat, cause)
}
