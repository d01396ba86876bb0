package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Post is one line of the list that everybody wants to see.
type Post struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	Likes int64  `json:"likes"`
}

// A List is what is cached.
type List struct {
	Posts []Post    `json:"posts"`
	AsOf  time.Time `json:"as_of"` // when the query began
}

// posts is the table of posts, in PostgreSQL.
type posts struct {
	pool *pgxpool.Pool
}

// connections is how many queries one process of the service runs at once.
const connections = 20

func openPosts(ctx context.Context, dsn string) (*posts, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	config.ConnConfig.RuntimeParams["application_name"] = "popular-posts"
	// One query is one scan of the table: that is how they are counted.
	config.ConnConfig.RuntimeParams["max_parallel_workers_per_gather"] = "0"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &posts{pool: pool}, err
}

// popular reads all likes of the last week, because nobody has made an index.
const popular = `
	SELECT posts.id, posts.title, count(*) AS likes
	FROM likes JOIN posts ON posts.id = likes.post
	WHERE likes.at > now() - interval '7 days'
	GROUP BY posts.id
	ORDER BY likes DESC, posts.id
	LIMIT 10`

// topTen is the slow query.
func (p *posts) topTen(ctx context.Context) (List, error) {
	list := List{AsOf: time.Now()}
	rows, err := p.pool.Query(ctx, popular)
	if err == nil {
		list.Posts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Post])
	}
	if err != nil {
		return List{}, fmt.Errorf("read the top ten: %w", err)
	}
	return list, nil
}

// seed makes the tables, with a thousand posts and so many likes, of which the
// first posts have more.
func (p *posts) seed(ctx context.Context, likes int) error {
	if _, err := p.pool.Exec(ctx, fmt.Sprintf(`
		DROP TABLE IF EXISTS posts, likes;
		CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);
		CREATE TABLE likes (post bigint NOT NULL, at timestamptz NOT NULL);
		INSERT INTO posts SELECT n, 'Post no. ' || n FROM generate_series(1, 1000) AS n;
		INSERT INTO likes
			SELECT 1 + floor(1000 * (n / %[1]d.0) ^ 2), now() - n %% 60 * interval '3 hours'
			FROM generate_series(0, %[1]d - 1) AS n;`, likes)); err != nil {
		return err
	}
	_, err := p.pool.Exec(ctx, "VACUUM ANALYZE posts, likes")
	return err
}
