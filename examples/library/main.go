// Command library is the shortest use of Corral: a thousand callers want a
// product that nobody has loaded yet, and the database is asked once.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
)

// Product is what is cached.
type Product struct {
	SKU   string
	Price int // cents
}

var queries atomic.Int64

// loadProduct stands for a slow query.
func loadProduct(_ context.Context, sku string) (Product, error) {
	queries.Add(1)
	time.Sleep(100 * time.Millisecond)
	return Product{SKU: sku, Price: 1299}, nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	products, err := corral.New(corral.Func(loadProduct), corral.Options[Product]{
		Name: "products", TTL: time.Minute, MaxBytes: 256 << 20,
	})
	if err != nil {
		return err
	}
	defer products.Close()

	var callers sync.WaitGroup
	for range 1000 {
		callers.Go(func() { products.Get(ctx, "sku-42") })
	}
	callers.Wait()

	p, err := products.Get(ctx, "sku-42")
	if err != nil {
		return err
	}
	stats := products.Stats()
	fmt.Fprintf(out, "%s costs %d cents; %d callers, %d query\n", p.SKU, p.Price, stats.Hits+stats.Joins+stats.Misses, queries.Load())
	return nil
}
