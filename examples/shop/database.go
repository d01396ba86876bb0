package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	_ "modernc.org/sqlite"
)

// The size of the shop. The slow query reads all orders: the default number of
// them makes it take some 50 to 100 ms.
const (
	products      = 1000
	defaultOrders = 150_000
)

// schema fills the tables by arithmetic alone, so that every run has the same
// rows. The multipliers are primes that spread the orders over products,
// customers and days. There is deliberately no index on orders.product_id.
const schema = `
BEGIN;
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL, day INTEGER NOT NULL);
CREATE TABLE reviews (product_id INTEGER NOT NULL, stars INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX reviews_product ON reviews (product_id);

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $products)
INSERT INTO products SELECT i, 'Enamel mug no. ' || i, 499 + (i * 37) % 2500 FROM n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $orders)
INSERT INTO orders SELECT i, (i * 7919 % 100003) * (i * 104729 % 99991) % $products + 1, i % 5 + 1, i * 31 % 365 FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3 * $products - 1)
INSERT INTO reviews SELECT i % $products + 1, i * 7 / $products % 5 + 1, 'Keeps the coffee warm for ' || (i * 13 / $products + 15) || ' minutes.' FROM n;
COMMIT;`

// openDB opens the shop's database and seeds it with so many orders if it is
// new. The caller closes it.
func openDB(ctx context.Context, path string, orders int) (*sql.DB, error) {
	query := url.Values{"_pragma": {"journal_mode(wal)", "synchronous(off)", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	if err := seed(ctx, db, orders); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func seed(ctx context.Context, db *sql.DB, orders int) error {
	var tables int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'orders'`).Scan(&tables)
	if err != nil || tables > 0 {
		return err
	}
	_, err = db.ExecContext(ctx, schema, sql.Named("products", products), sql.Named("orders", orders))
	return err
}

// A product is what its page shows.
type product struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	PriceCents int    `json:"price_cents"`
	SoldLately int    `json:"sold_lately"` // pieces in the last 30 days of the year
	SalesRank  int    `json:"sales_rank"`  // 1: most pieces sold of all products
}

// findProduct is the slow query: its rank adds up the orders of every product.
func findProduct(ctx context.Context, db *sql.DB, id int) (product, error) {
	p := product{ID: id}
	err := db.QueryRowContext(ctx, `
		WITH sales AS (
			SELECT product_id, sum(quantity) AS sold, sum(iif(day >= 335, quantity, 0)) AS lately
			FROM orders GROUP BY product_id),
		ranked AS (
			SELECT product_id, lately, rank() OVER (ORDER BY sold DESC) AS place FROM sales)
		SELECT p.name, p.price_cents, coalesce(r.lately, 0), coalesce(r.place, $products)
		FROM products p LEFT JOIN ranked r ON r.product_id = p.id WHERE p.id = $id`,
		sql.Named("id", id), sql.Named("products", products),
	).Scan(&p.Name, &p.PriceCents, &p.SoldLately, &p.SalesRank)
	return p, err
}

// setPrice gives a product another price, and reports whether there is one.
func setPrice(ctx context.Context, db *sql.DB, id string, cents int) (found bool, err error) {
	result, err := db.ExecContext(ctx, `UPDATE products SET price_cents = ? WHERE id = ?`, cents, id)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// A review is one customer's opinion of a product.
type review struct {
	Stars int    `json:"stars"`
	Text  string `json:"text"`
}

func findReviews(ctx context.Context, db *sql.DB, id int) ([]review, error) {
	rows, err := db.QueryContext(ctx, `SELECT stars, text FROM reviews WHERE product_id = ? ORDER BY rowid`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	reviews := []review{}
	for rows.Next() {
		var r review
		if err := rows.Scan(&r.Stars, &r.Text); err != nil {
			return nil, err
		}
		reviews = append(reviews, r)
	}
	return reviews, rows.Err()
}
