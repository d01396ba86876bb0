package upstream_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/corralcache/corral/upstream"
)

// BenchmarkARequest compares a pool with the bare transport below it, over a
// socket.
func BenchmarkARequest(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }))
	defer server.Close()
	pool, err := upstream.New(upstream.Options{Servers: []upstream.Server{at(server.URL)}})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	bare := &http.Transport{DisableCompression: true}
	defer bare.CloseIdleConnections()
	for name, transport := range map[string]http.RoundTripper{"bare": bare, "pool": pool} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, _ := http.NewRequest("GET", server.URL, nil)
				res, err := transport.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}

// BenchmarkAChoice is what the policy costs under the pool's lock.
func BenchmarkAChoice(b *testing.B) {
	for _, policy := range []upstream.Policy{upstream.LeastRequests, upstream.RoundRobin, upstream.Hash} {
		b.Run([]string{"LeastRequests", "RoundRobin", "Hash"}[policy]+" of 16", func(b *testing.B) {
			choose := upstream.Choice(policy, 16)
			b.ReportAllocs()
			for b.Loop() {
				choose()
			}
		})
	}
}
