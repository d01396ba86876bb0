package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// slowPage is a page that takes a while to make. It counts how often it is made.
func slowPage(made *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made.Add(1)
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "the page %s", r.URL.Path)
	})
}

// fetch is what a client reads at an address.
func fetch(client *http.Client, address string) (text, status string) {
	res, err := client.Get(address)
	if err != nil {
		return err.Error(), ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error(), ""
	}
	return string(body), res.Header.Get("Cache-Status")
}

// crowd lets a hundred clients ask at once.
func crowd(client *http.Client, address string) {
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() { fetch(client, address) })
	}
	clients.Wait()
}

// A reverse proxy asks its origin once, however many clients ask at once.
func ExampleNewProxy() {
	var made atomic.Int64
	origin := httptest.NewServer(slowPage(&made))
	defer origin.Close()
	behind, _ := url.Parse(origin.URL)

	proxy, err := httpcache.NewProxy(httpcache.Options{Origin: behind, MaxBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	defer proxy.Close()
	server := httptest.NewServer(proxy)
	defer server.Close()

	crowd(server.Client(), server.URL+"/a")
	text, _ := fetch(server.Client(), server.URL+"/a")
	fmt.Printf("%s, made %d time\n", text, made.Load())
	// Output: the page /a, made 1 time
}

// Middleware calls its handler once, however many clients ask at once. What the
// handler says in Cache-Control holds, unless a rule replaces it.
func ExampleHandler() {
	var made atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("GET /{page}", slowPage(&made))

	cache, err := httpcache.Handler(mux, httpcache.Options{
		MaxBytes: 64 << 20,
		Rules:    []httpcache.Rule{{Path: "/live", Bypass: true}},
	})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
	server := httptest.NewServer(cache)
	defer server.Close()

	crowd(server.Client(), server.URL+"/a")
	text, _ := fetch(server.Client(), server.URL+"/a")
	fmt.Printf("%s, made %d time\n", text, made.Load())
	text, status := fetch(server.Client(), server.URL+"/live")
	fmt.Printf("%s: %s\n", text, status)
	// Output:
	// the page /a, made 1 time
	// the page /live: Corral;fwd=bypass;detail=rule
}

// A client's Transport sends one request for all of a program's that are the
// same.
func ExampleNewTransport() {
	var made atomic.Int64
	elsewhere := httptest.NewServer(slowPage(&made))
	defer elsewhere.Close()

	transport, err := httpcache.NewTransport(nil, httpcache.Options{MaxBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()

	crowd(client, elsewhere.URL+"/a")
	text, _ := fetch(client, elsewhere.URL+"/a")
	fmt.Printf("%s, made %d time\n", text, made.Load())
	// Output: the page /a, made 1 time
}
