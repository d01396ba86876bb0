package localserver

import (
	"context"
	"testing"
	"time"
)

// starting is how long a server of a test may take until it is ready, on a
// slow and busy machine.
const starting = time.Minute

// Redis starts a Redis for a test, which ends with it.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return during(t, func(ctx context.Context) (*RedisServer, error) {
		return StartRedis(ctx, t.TempDir(), args...)
	}, func(r *RedisServer) error { return stopAll(r) })
}

// RedisSentinel starts a master, a replica and a sentinel for a test.
func RedisSentinel(t testing.TB) *Sentinel {
	t.Helper()
	return during(t, func(ctx context.Context) (*Sentinel, error) {
		return StartSentinel(ctx, t.TempDir())
	}, (*Sentinel).Stop)
}

// Cluster starts a Redis Cluster for a test.
func Cluster(t testing.TB, args ...string) *RedisCluster {
	t.Helper()
	return during(t, func(ctx context.Context) (*RedisCluster, error) {
		return StartRedisCluster(ctx, t.TempDir(), args...)
	}, (*RedisCluster).Stop)
}

// Postgres starts a PostgreSQL for a test.
func Postgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return during(t, func(ctx context.Context) (*PostgresServer, error) {
		return StartPostgres(ctx, t.TempDir(), settings...)
	}, (*PostgresServer).Stop)
}

// during starts a server and stops it when the test ends. What cannot be
// started is a failure, a missing program too.
func during[S any](t testing.TB, start func(context.Context) (S, error), stop func(S) error) S {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	server, err := start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(server); err != nil {
			t.Error(err)
		}
	})
	return server
}
