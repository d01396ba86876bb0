package corraltest_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
)

// wrongUnderFaults are stores that a day under a cache must show to be wrong.
var wrongUnderFaults = map[string]func(*remembering) corral.Store{
	"is told of tags, and does nothing": func(s *remembering) corral.Store {
		return &memory{remembering: s, delete: func(ctx context.Context, inv corral.Invalidation) error {
			if len(inv.Tags) > 0 {
				return nil
			}
			return s.Delete(ctx, inv)
		}}
	},
	"gives what is another key's": func(s *remembering) corral.Store {
		return &memory{remembering: s, get: func(ctx context.Context, key string) (*corral.Record, error) {
			if key == "c/2" {
				key = "c/1"
			}
			return s.Get(ctx, key)
		}}
	},
	"takes no deletes once it has failed": func(s *remembering) corral.Store {
		failed := false
		return &memory{
			remembering: s,
			get: func(ctx context.Context, key string) (*corral.Record, error) {
				record, err := s.Get(ctx, key)
				failed = failed || ctx.Err() != nil
				return record, err
			},
			put: func(ctx context.Context, key string, r *corral.Record) error {
				failed = failed || key == "d"
				return s.Put(ctx, key, r)
			},
			delete: func(ctx context.Context, inv corral.Invalidation) error {
				if failed && len(inv.Prefixes) > 0 {
					return nil
				}
				return s.Delete(ctx, inv)
			},
		}
	},
	"revives its values when it is opened again": reopened(func(s *remembering) {
		s.deletes = nil
		for _, key := range []string{"a", "b1", "d"} {
			s.Store.Delete(context.Background(), corral.Invalidation{Target: corral.Target{Keys: []string{key}}, Forget: true})
			s.Store.Put(context.Background(), key, &corral.Record{Value: []byte(key + "#0"), BodySize: -1, Revision: 1 << 40, TTL: time.Hour})
		}
	}),
}

// wrongCoordinatorsUnderFaults are wrong in what a day of two caches shows.
var wrongCoordinatorsUnderFaults = map[string]func(n int) []corral.Coordinator{
	"acknowledges although it has told nobody": wrong(func(c *wrongCoordinator) {
		c.invalidate = func(context.Context, corral.Target) error { return nil }
	}),
	"grants no more than ten leases": wrong(func(c *wrongCoordinator) {
		var granted atomic.Int64
		c.join = func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			if granted.Add(1) > 10 {
				return corral.Answer{Kind: corral.AnswerUnavailable}, nil
			}
			return c.Coordinator.Join(ctx, request)
		}
	}),
	"hands out what was begun before an invalidation": wrong(func(c *wrongCoordinator) {
		c.fill = func(ctx context.Context, l corral.Lease, r *corral.Record) error {
			old := *r
			old.Value = append([]byte(nil), r.Value...)
			old.Value[len(old.Value)-1] = '0'
			return l.Fill(ctx, &old)
		}
	}),
}
