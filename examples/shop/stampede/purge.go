package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/examples/internal/child"
)

// The page that is purged, and how often its price changes.
const (
	purgedProduct = "/products/44"
	changes       = 20
	killAt        = changes / 2 // and its key's owner is killed before the next answer
	hotClients    = 8
	firstPrice    = 10_000 // above all others; each change adds 1
)

// A purging is what came of changes that were purged at one node while another
// served the page.
type purging struct {
	latest    atomic.Int64 // the last price of which a purge has been acknowledged
	old       int          // next answers with an older price
	purges    []time.Duration
	afterKill time.Duration // how long the next answer took

	mu            sync.Mutex // guards what clients have seen meanwhile
	answers, aged int
	failures      map[string]int
}

// purge changes a price again and again, purges the page at one node, and asks
// another one, at which it is hot: its next answer has to be the new one, also
// when the owner of the page's key is killed between.
func (d *demo) purge(ctx context.Context, shop *child.Process, nodes []*node) error {
	owner, others, err := ownerAmong(ctx, nodes, purgedProduct)
	if err != nil {
		return err
	}
	at, serves := others[0], others[1]
	fmt.Fprintf(d.out, "\nThe price of %s changes %d times. Each time node %s is told to purge the page, and node %s is asked for it, where %d clients read it all the time …\n",
		purgedProduct, changes, at.name, serves.name, hotClients)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: hotClients + 1}, Timeout: requestTimeout}
	defer client.CloseIdleConnections()
	p := &purging{failures: map[string]int{}}
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	for range hotClients {
		readers.Go(func() { p.read(reading, client, serves.URL+purgedProduct) })
	}
	err = func() error {
		for i := range changes {
			if err := p.change(ctx, client, shop, at, firstPrice+int64(i)); err != nil {
				return err
			}
			asked := time.Now()
			if i == killAt {
				fmt.Fprintf(d.out, "kill -9 of node %s, which owns its key, just after the purge …\n", owner.name)
				owner.Kill()
			}
			price, err := priceAt(ctx, client, serves.URL+purgedProduct)
			if err != nil {
				return fmt.Errorf("the answer after purge %d: %w", i+1, err)
			}
			if price != firstPrice+int64(i) {
				p.old++
			}
			if i == killAt {
				p.afterKill = time.Since(asked)
			}
		}
		return nil
	}()
	stop()
	readers.Wait()
	if err != nil {
		return err
	}
	slices.Sort(p.purges)
	fmt.Fprintf(d.out, `
  next answers      %d new of %d
  answers meanwhile %d, of which %d were older than a purge before them, and %d errors
  a purge took      %s, the longest %s
  after the kill    the next answer came after %s
`, changes-p.old, changes, p.answers, p.aged, sum(p.failures), round(p.purges[changes/2]), round(p.purges[changes-1]), round(p.afterKill))
	if p.old+p.aged+sum(p.failures) > 0 {
		return fmt.Errorf("after purges: %d of the next answers and %d of others were old, and %v failed; want none", p.old, p.aged, p.failures)
	}
	return d.startAgain(ctx, owner, nodes)
}

// change gives the product another price and purges its page at a node.
func (p *purging) change(ctx context.Context, client *http.Client, shop *child.Process, at *node, price int64) error {
	if err := send(ctx, client, http.MethodPut, shop.URL+purgedProduct+"/price", fmt.Sprint(price)); err != nil {
		return err
	}
	began := time.Now()
	what := fmt.Sprintf(`{"url": "http://%s%s"}`, site, purgedProduct)
	if err := send(ctx, client, http.MethodPost, at.Admin+"/purge", what); err != nil {
		return err
	}
	p.purges = append(p.purges, time.Since(began))
	p.latest.Store(price)
	return nil
}

func send(ctx context.Context, client *http.Client, method, url, content string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(content))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s is answered with %s", method, url, response.Status)
	}
	return nil
}

// read asks for the page until ctx ends.
func (p *purging) read(ctx context.Context, client *http.Client, page string) {
	for {
		latest := p.latest.Load()
		price, err := priceAt(ctx, client, page)
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		if err != nil {
			p.failures[err.Error()]++
		} else {
			p.answers++
		}
		if err == nil && price < latest {
			p.aged++
		}
		p.mu.Unlock()
	}
}

func priceAt(ctx context.Context, client *http.Client, page string) (int64, error) {
	body, err := fetch(ctx, client, page)
	if err != nil {
		return 0, err
	}
	var product struct {
		PriceCents int64 `json:"price_cents"`
	}
	err = json.Unmarshal([]byte(body), &product)
	return product.PriceCents, err
}

// ownerAmong parts the node that owns a page's key from the others.
func ownerAmong(ctx context.Context, nodes []*node, page string) (owner *node, others []*node, err error) {
	name, err := nodes[0].ownerOf(ctx, page)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		if n.name == name {
			owner = n
		} else {
			others = append(others, n)
		}
	}
	if owner == nil {
		return nil, nil, errors.New("nobody owns " + page)
	}
	return owner, others, nil
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
