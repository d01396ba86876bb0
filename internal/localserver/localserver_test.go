package localserver

import (
	"context"
	"testing"
)

func TestARedisStartsAndStartsAgainAtItsPort(t *testing.T) {
	ctx := context.Background()
	r := Redis(t)
	if _, err := r.Do(ctx, "SET", "a", "b"); err != nil {
		t.Fatal(err)
	}
	addr := r.Addr()
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if r.Addr() != addr {
		t.Errorf("the address is %s after %s", r.Addr(), addr)
	}
	if got, err := r.Do(ctx, "GET", "a"); err != nil || got != "" {
		t.Errorf("GET = %q, %v after a crash without a file", got, err)
	}
}

func TestSentinelMovesTheMaster(t *testing.T) {
	s := RedisSentinel(t)
	if err := s.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAClusterServesAllSlots(t *testing.T) {
	c := Cluster(t)
	if _, err := c.Nodes[0].Do(t.Context(), "CLUSTER", "SLOTS"); err != nil {
		t.Fatal(err)
	}
}

func TestAPostgresStarts(t *testing.T) {
	p := Postgres(t, "shared_preload_libraries=pg_stat_statements")
	t.Log(p.DSN())
}
