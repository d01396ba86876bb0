package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// sink is a client's end that takes everything and costs next to nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header              { return s.header }
func (s *sink) Write(p []byte) (int, error)      { return len(p), nil }
func (s *sink) WriteHeader(status int)           { s.status = status }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) FlushError() error                { return nil }

// answering is an origin that always gives the same answer.
type answering struct {
	header http.Header
	body   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Request: r,
		ContentLength: int64(len(a.body)), Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}

// BenchmarkHit is what the proxy adds to net/http for a small page that it has.
func BenchmarkHit(b *testing.B) {
	for _, bench := range []struct{ name, vary string }{{"plain", ""}, {"vary", "Accept-Encoding"}} {
		b.Run(bench.name, func(b *testing.B) {
			header := http.Header{
				"Cache-Control": {"public, max-age=86400"}, "Content-Type": {"text/html; charset=utf-8"},
				"Content-Length": {"1024"}, "Etag": {`"d41d8cd98f00b204"`}, "Server": {"origin"},
				"Last-Modified": {"Tue, 01 Jul 2025 00:00:00 GMT"},
			}
			if bench.vary != "" {
				header.Set("Vary", bench.vary)
			}
			proxy, err := httpcache.NewProxy(httpcache.Options{
				Origin: &url.URL{Scheme: "http", Host: "origin"}, MaxBytes: 1 << 20,
				Transport: answering{header, strings.Repeat("x", 1024)},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer proxy.Close()
			request := httptest.NewRequest("GET", "/products/42?currency=eur", nil)
			request.Header = http.Header{
				"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
				"Accept":     {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en-US,en;q=0.5"},
				"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Referer": {"http://example.com/products"},
			}
			w := &sink{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				proxy.ServeHTTP(w, request)
			}
			if got := w.header.Get("Cache-Status"); !strings.Contains(got, "hit") {
				b.Fatalf("Cache-Status = %q, want a hit", got)
			}
		})
	}
}
