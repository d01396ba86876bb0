package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/corralcache/corral/internal/localserver"
)

// backends are the servers behind the service, and what they have counted.
type backends struct {
	postgres *localserver.PostgresServer
	redis    *localserver.RedisServer
	sql      *pgx.Conn // to ask PostgreSQL what it has counted
}

func startBackends(ctx context.Context, dir string) (b *backends, err error) {
	b = &backends{}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if b.postgres, err = localserver.StartPostgres(ctx, dir); err != nil {
		return nil, err
	}
	if b.redis, err = localserver.StartRedis(ctx, dir); err != nil {
		return nil, err
	}
	b.sql, err = pgx.Connect(ctx, b.postgres.DSN())
	return b, err
}

func (b *backends) stop() (err error) {
	if b.sql != nil {
		err = b.sql.Close(context.Background())
	}
	if b.redis != nil {
		err = errors.Join(err, b.redis.Stop())
	}
	if b.postgres != nil {
		err = errors.Join(err, b.postgres.Stop())
	}
	return err
}

// queries is how often PostgreSQL has begun to read the table of likes, which
// every query does once, the cancelled ones too. It counts what a connection
// did at the latest when that ends: none of the service's may be left.
func (b *backends) queries(ctx context.Context) (n int, err error) {
	for {
		var open int
		err := b.sql.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'popular-posts'`).Scan(&open)
		if err != nil {
			return 0, err
		}
		if open == 0 {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d connections of the service are left: %w", open, ctx.Err())
		}
	}
	err = b.sql.QueryRow(ctx, `SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'likes'`).Scan(&n)
	return n, err
}

// commands is how many commands Redis has been given.
func (b *backends) commands(ctx context.Context) (n int64, err error) {
	counts, err := b.redis.Commands(ctx)
	for _, count := range counts {
		n += count
	}
	return n, err
}
