package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// pages holds pages under "pages/SKU" and their parts under "products/SKU",
// "stock/SKU" and "reviews/SKU", all in one cache.
type pages struct {
	cache    *corral.Cache[json.RawMessage]
	services string // base URL
}

// A part of a page comes from one service.
type part struct {
	name     string
	ttl      time.Duration // as long as a page may show what the service said
	optional bool          // a page without it is better than none
}

var parts = []part{
	{name: "products", ttl: time.Minute},
	{name: "stock", ttl: 5 * time.Second},
	{name: "reviews", ttl: 10 * time.Minute, optional: true},
}

// incompleteTTL is how long a page is kept that lacks an optional part.
const incompleteTTL = time.Second

// maxPart is the largest answer of a service, in bytes.
const maxPart = 1 << 20

func newPages(services string) (*pages, error) {
	p := &pages{services: services}
	var err error
	p.cache, err = corral.New(corral.LoaderFunc[json.RawMessage](p.load), corral.Options[json.RawMessage]{
		Name: "pages", TTL: time.Minute, MaxBytes: 64 << 20, LoadTimeout: 5 * time.Second,
	})
	return p, err
}

// load is the loader of every key. Passing ctx on to the gets of the parts is
// what tells the cache that they are nested in the page's load.
func (p *pages) load(ctx context.Context, key string, _ *corral.Item[json.RawMessage]) (corral.Item[json.RawMessage], error) {
	kind, sku, _ := strings.Cut(key, "/")
	if kind == "pages" {
		return p.loadPage(ctx, sku)
	}
	for _, part := range parts {
		if part.name == kind {
			body, err := p.ask(ctx, key)
			return corral.Item[json.RawMessage]{Value: body, TTL: part.ttl, Tags: []string{tag(sku)}}, err
		}
	}
	return corral.Item[json.RawMessage]{}, corral.ErrNotFound
}

// tag is the tag of a page and of its parts.
func tag(sku string) string { return "sku:" + sku }

// loadPage asks for all parts at once. The page is fresh as long as all of its
// parts are.
func (p *pages) loadPage(ctx context.Context, sku string) (corral.Item[json.RawMessage], error) {
	bodies := make([]json.RawMessage, len(parts))
	ttls := make([]time.Duration, len(parts))
	errs := make([]error, len(parts))
	var asked sync.WaitGroup
	for i, part := range parts {
		asked.Go(func() {
			item, info, err := p.cache.GetItem(ctx, part.name+"/"+sku)
			bodies[i], ttls[i], errs[i] = item.Value, info.TTL, err
			if err != nil && part.optional {
				bodies[i], ttls[i], errs[i] = nil, incompleteTTL, nil
			}
		})
	}
	asked.Wait()
	if err := errors.Join(errs...); err != nil {
		return corral.Item[json.RawMessage]{}, err
	}
	page := map[string]json.RawMessage{}
	ttl := ttls[0]
	for i, part := range parts {
		page[part.name] = bodies[i]
		ttl = min(ttl, ttls[i])
	}
	body, err := json.Marshal(page)
	// A part may have just expired, and a TTL of 0 would be that of the Options.
	return corral.Item[json.RawMessage]{Value: body, TTL: max(ttl, 1), Tags: []string{tag(sku)}}, err
}

// ask fetches one part from its service.
func (p *pages) ask(ctx context.Context, path string) (json.RawMessage, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.services+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, corral.ErrNotFound
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPart+1))
	if err == nil && (len(body) > maxPart || !json.Valid(body)) {
		err = fmt.Errorf("%s: not JSON of at most %d bytes", path, maxPart)
	}
	return body, err
}

func (p *pages) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pages/{sku}", p.page)
	mux.HandleFunc("POST /changed/{sku}", p.changed)
	return mux
}

func (p *pages) page(w http.ResponseWriter, r *http.Request) {
	body, err := p.cache.Get(r.Context(), "pages/"+url.PathEscape(r.PathValue("sku")))
	if err != nil {
		http.Error(w, err.Error(), status(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body[:len(body):len(body)], '\n')) // a copy: the body is everybody's
}

// status is the one place where the cache's errors become HTTP.
func status(err error) int {
	switch {
	case errors.Is(err, corral.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, corral.ErrLoadTimeout):
		return http.StatusGatewayTimeout
	case errors.Is(err, corral.ErrOverloaded):
		return http.StatusServiceUnavailable
	case errors.Is(err, corral.ErrInvalidKey):
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// changed is for the service whose data changed. Once it has answered, nobody
// is given what was read before.
func (p *pages) changed(w http.ResponseWriter, r *http.Request) {
	if err := p.cache.InvalidateTags(r.Context(), tag(url.PathEscape(r.PathValue("sku")))); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
