package etcd

import (
	"context"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// MaxTxnBytes bounds the keys and values of one transaction; etcd's own
	// default is half as much again.
	MaxTxnBytes = 1 << 20

	// MaxTxnKeys bounds how many keys it requires, and how many it puts, deletes
	// and reads together: etcd's default.
	MaxTxnKeys = 128
)

// A Txn is carried out whole or not at all.
type Txn struct {
	Require map[string]uint64 // each key was last written at this revision; 0: there is none
	Put     map[string][]byte
	Delete  []string
	Read    []string // answered as of after this transaction
}

// A Result is what a transaction came to.
type Result struct {
	// OK: the requirements held, and all was done. If not, nothing was.
	OK bool

	// Revision is etcd's, right after: the transaction's own if it is OK and
	// wrote anything.
	Revision uint64

	// Keys holds what Txn.Read names, and the required keys too if not OK.
	Keys map[string]KV
}

// Write sends a transaction, once. The error is ErrUnknown, ErrRefused or
// ErrRolledBack.
func (c *Client) Write(ctx context.Context, t Txn) (Result, error) {
	if err := t.check(); err != nil {
		return Result{}, fmt.Errorf("etcd: write: %w: %w", ErrRefused, err)
	}
	var answer *clientv3.TxnResponse
	err := c.call(ctx, func(ctx context.Context, e *endpoint) error {
		since, err := c.history.seen()
		if err != nil {
			return err
		}
		c.writes.Add(1)
		then, otherwise := c.operations(t)
		answer, err = e.client.Txn(ctx).If(c.comparisons(t)...).Then(then...).Else(otherwise...).Commit()
		if err != nil {
			return explain(err)
		}
		return c.history.answered(since, answer.Header)
	})
	if err != nil {
		return Result{}, fmt.Errorf("etcd: write: %w", err)
	}
	return c.result(t, answer), nil
}

func (t Txn) check() error {
	if n := len(t.Put) + len(t.Delete) + len(t.Read); n > MaxTxnKeys || len(t.Require) > MaxTxnKeys {
		return fmt.Errorf("a transaction of %d keys that requires %d: %d of each are allowed", n, len(t.Require), MaxTxnKeys)
	}
	size := 0
	for key, value := range t.Put {
		size += len(key) + len(value)
	}
	if size > MaxTxnBytes {
		return fmt.Errorf("a transaction of %d bytes: %d are allowed", size, MaxTxnBytes)
	}
	return nil
}

func (c *Client) comparisons(t Txn) []clientv3.Cmp {
	cmps := make([]clientv3.Cmp, 0, len(t.Require))
	for _, key := range slices.Sorted(maps.Keys(t.Require)) {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(c.config.Prefix+key), "=", int64(t.Require[key])))
	}
	return cmps
}

// operations come in two lists: what is done, and what is read if it is not.
func (c *Client) operations(t Txn) (then, otherwise []clientv3.Op) {
	for _, key := range slices.Sorted(maps.Keys(t.Put)) {
		then = append(then, clientv3.OpPut(c.config.Prefix+key, string(t.Put[key])))
	}
	for _, key := range t.Delete {
		then = append(then, clientv3.OpDelete(c.config.Prefix+key))
	}
	for _, key := range t.Read {
		then = append(then, clientv3.OpGet(c.config.Prefix+key))
	}
	for _, key := range t.readOtherwise() {
		otherwise = append(otherwise, clientv3.OpGet(c.config.Prefix+key))
	}
	return then, otherwise
}

// readOtherwise are the keys that a transaction reads when its requirements do
// not hold.
func (t Txn) readOtherwise() []string {
	keys := slices.Concat(t.Read, slices.Collect(maps.Keys(t.Require)))
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (c *Client) result(t Txn, answer *clientv3.TxnResponse) Result {
	r := Result{OK: answer.Succeeded, Revision: uint64(answer.Header.Revision), Keys: make(map[string]KV)}
	names := t.Read
	if !r.OK {
		names = t.readOtherwise()
	}
	for _, key := range names {
		r.Keys[key] = KV{}
	}
	for _, one := range answer.Responses {
		for _, kv := range one.GetResponseRange().GetKvs() {
			r.Keys[c.relative(kv.Key)] = KV{Value: kv.Value, Revision: uint64(kv.ModRevision)}
		}
	}
	return r
}
