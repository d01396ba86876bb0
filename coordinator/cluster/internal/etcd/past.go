package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Past tells what was written to a key, the newest first, from what it was at
// revision from on, until tell returns false, the history ends, or ctx does.
// Everything that was written to it after since, up to from, has been told, with
// an error too: an interrupted walk reaches less far back. A since of 0 says that
// there was nothing before.
//
// It is one call of etcd for each value, rather than a watch: a watch begins with
// the oldest, and has etcd read everything that was written since to whatever
// key into memory at once. This one can be left at any point, and what it has told
// is of use.
func (c *Client) Past(ctx context.Context, key string, from uint64, tell func(KV) (more bool)) (since uint64, err error) {
	for at := from; at > 0; {
		kv, err := c.at(ctx, key, at)
		switch {
		case errors.Is(err, ErrCompacted):
			return at, nil
		case err != nil:
			return at, fmt.Errorf("etcd: read what %q was at revision %d: %w", key, at, err)
		case kv.Revision == 0:
			return 0, nil
		}
		at = kv.Revision - 1
		if !tell(kv) {
			return at, nil
		}
	}
	return 0, nil
}

// at is what a key was at a revision. The past is the same at every member.
func (c *Client) at(ctx context.Context, key string, revision uint64) (kv KV, err error) {
	err = c.call(ctx, func(ctx context.Context, e *endpoint) error {
		if _, err := c.history.seen(); err != nil {
			return err
		}
		answer, err := e.client.Get(ctx, c.config.Prefix+key, clientv3.WithRev(int64(revision)), clientv3.WithSerializable())
		if errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("%w: %d is", ErrCompacted, revision)
		}
		if err != nil {
			return explain(err) // it may lag, and not know the revision yet
		}
		for _, found := range answer.Kvs {
			kv = KV{Value: found.Value, Revision: uint64(found.ModRevision)}
		}
		return c.history.told(answer.Header)
	})
	return kv, err
}
