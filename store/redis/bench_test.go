package redis

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// benched is a store with a thousand records of 1 KiB.
func benched(b *testing.B) *Store {
	o := patient
	o.Redis = Config{Addresses: []string{localserver.Redis(b).Addr()}}
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	for i := range 1000 {
		if err := s.Put(context.Background(), fmt.Sprint(i), kib(0)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func kib(revision uint64) *corral.Record {
	return &corral.Record{Value: make([]byte, 1<<10), BodySize: -1, TTL: time.Hour, Revision: revision, Tags: []string{"x"}}
}

func BenchmarkGet(b *testing.B) {
	s := benched(b)
	b.ReportAllocs()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r, err := s.Get(context.Background(), fmt.Sprint(n.Add(1)%1000)); r == nil || err != nil {
				b.Errorf("Get: %v, %v", r, err)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	s := benched(b)
	b.ReportAllocs()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Put(context.Background(), fmt.Sprint(n.Add(1)%1000), kib(0)); err != nil {
				b.Errorf("Put: %v", err)
			}
		}
	})
}

func BenchmarkDelete(b *testing.B) {
	s := benched(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			inv := corral.Invalidation{Revision: uint64(i), Target: corral.Target{Keys: []string{fmt.Sprint(i % 1000)}}}
			if err := s.Delete(context.Background(), inv); err != nil {
				b.Errorf("Delete: %v", err)
			}
		}
	})
}
