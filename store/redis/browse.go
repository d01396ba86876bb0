package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
	"github.com/corralcache/corral/internal/stored"
)

const (
	scanned = 256 // keys that one step of a walk asks for
)

// Stat says what is known here: how many records there are, only a walk would
// know.
func (s *Store) Stat(ctx context.Context) (corral.StoreStat, error) {
	revision, err := s.Revision(ctx)
	if err != nil {
		revision = s.highest.Load()
	}
	return corral.StoreStat{
		Kind: "redis", Sequence: s.sequence, Revision: revision, Entries: -1, Bytes: -1,
		Gets: s.n.gets.Load(), Hits: s.n.hits.Load(), Puts: s.n.puts.Load(), Deletes: s.n.deletes.Load(),
		Errors: s.n.errors.Load(), Corrupt: s.n.corrupt.Load(), Refused: s.n.refused.Load(),
		Broken: s.breaker.Broken(time.Now()),
	}, context.Cause(ctx)
}

// List yields what counts under keys that begin with prefix, in no order, and
// perhaps a key twice while keys come and go (SCAN).
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
	return s.walk(ctx, prefix, false)
}

// Verify reads everything that counts. What cannot be read is yielded with its
// error, and is removed.
func (s *Store) Verify(ctx context.Context) iter.Seq2[corral.StoredEntry, error] {
	return s.walk(ctx, "", true)
}

func (s *Store) walk(ctx context.Context, prefix string, verify bool) iter.Seq2[corral.StoredEntry, error] {
	return func(yield func(corral.StoredEntry, error) bool) {
		end := func(err error) { yield(corral.StoredEntry{}, fmt.Errorf("redis: walk %q: %w", prefix, err)) }
		masters, err := s.masters(ctx)
		if err != nil {
			end(err)
			return
		}
		for _, node := range masters {
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				step, err := s.scan(ctx, node, cursor, prefix)
				if err != nil {
					end(err)
					return
				}
				cursor = step.next
				for _, key := range step.keys {
					entry, err := s.entry(ctx, key, verify)
					switch {
					case err != nil && !unreadable(err) && !errors.Is(err, stored.ErrVersion):
						end(err)
						return
					case err != nil:
						if verify && !yield(corral.StoredEntry{Key: key}, err) {
							return
						}
					case entry != nil && !yield(*entry, nil):
						return
					}
				}
			}
		}
	}
}

// masters are the servers that between them have all keys.
func (s *Store) masters(ctx context.Context) ([]rueidis.Client, error) {
	return call(ctx, s, s.o.HardTimeout, func(ctx context.Context) (list []rueidis.Client, err error) {
		if s.client.Mode() != rueidis.ClientModeCluster {
			return []rueidis.Client{s.client}, nil
		}
		for _, node := range s.client.Nodes() {
			role, err := node.Do(ctx, node.B().Role().Build()).ToArray()
			if err != nil {
				return nil, err
			}
			if name, _ := role[0].ToString(); name == "master" {
				list = append(list, node)
			}
		}
		return list, nil
	})
}

// page is one step of a walk.
type page struct {
	keys []string
	next uint64
}

func (s *Store) scan(ctx context.Context, node rueidis.Client, cursor uint64, prefix string) (page, error) {
	return call(ctx, s, s.o.HardTimeout, func(ctx context.Context) (page, error) {
		match := literally(s.values+prefix) + "*"
		found, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(match).Count(scanned).Build()).AsScanEntry()
		for i, key := range found.Elements {
			found.Elements[i] = strings.TrimPrefix(key, s.values)
		}
		return page{found.Elements, found.Cursor}, err
	})
}

var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// literally is a pattern that matches a text alone.
func literally(text string) string { return glob.Replace(text) }

// entry is what is under a key, nil if nothing counts there. What cannot be read
// is an error, and with verify it is removed.
func (s *Store) entry(ctx context.Context, key string, verify bool) (*corral.StoredEntry, error) {
	return call(ctx, s, s.o.HardTimeout, func(ctx context.Context) (*corral.StoredEntry, error) {
		v, err := s.gens.look(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := read.exec.Exec(ctx, s.client, []string{s.values + key}, nil).ToArray()
		if rueidis.IsRedisNil(err) {
			return nil, nil
		}
		var o found
		if err == nil {
			o, err = opened(key, answer)
		}
		if err != nil {
			if verify {
				err = errors.Join(redisconn.Explain(err), s.broken(ctx, s.values+key, err))
			}
			return nil, err
		}
		if o.record == nil {
			return nil, nil
		}
		if counts, err := s.gens.count(ctx, v, key, o.object); !counts || err != nil {
			return nil, err
		}
		return describe(key, o), nil
	})
}

func describe(key string, o found) *corral.StoredEntry {
	r := o.record
	stored.Pass(r, o.object.ttl-o.left)
	return &corral.StoredEntry{
		Key: key, Bytes: int64(len(r.Value) + len(o.body)), HasBody: o.hasBody, Age: r.Age, TTL: r.TTL,
		Windows: max(r.StaleFor, r.StaleOnError, r.StaleOnOutage), Cost: r.Cost, Revision: r.Revision,
		Tags: r.Tags, Validator: r.Validator,
	}
}

// Remove takes keys out, whatever their revision, and says how many records there
// were.
func (s *Store) Remove(ctx context.Context, keys ...string) (removed int, err error) {
	for _, key := range keys {
		was, err := call(ctx, s, s.o.HardTimeout, func(ctx context.Context) (bool, error) { return s.unlink(ctx, key) })
		if err != nil {
			return removed, s.failed("remove", key, err)
		}
		if was {
			removed++
		}
	}
	return removed, nil
}

// unlink takes a key out, and reports whether there was a record, or what may
// have been one.
func (s *Store) unlink(ctx context.Context, key string) (was bool, err error) {
	kind, err := s.client.Do(ctx, s.client.B().Getrange().Key(s.values+key).Start(2).End(2).Build()).ToString()
	if err = redisconn.Explain(err); err != nil && !unreadable(err) {
		return false, err
	}
	gone, err := s.client.Do(ctx, s.client.B().Unlink().Key(s.values+key).Build()).AsInt64()
	return gone == 1 && kind != string(rune(tombstone)), err
}
