package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// front puts a proxy before a handler, on real sockets.
func front(t *testing.T, origin http.HandlerFunc, change func(*httpcache.Options)) *httptest.Server {
	t.Helper()
	behind := httptest.NewServer(origin)
	t.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := httpcache.Options{Origin: target, MaxBytes: 64 << 20}
	if change != nil {
		change(&o)
	}
	proxy, err := httpcache.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server
}

func TestAThousandRequestsForAColdPageReachTheOriginOnce(t *testing.T) {
	var calls atomic.Int64
	server := front(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		time.Sleep(100 * time.Millisecond)
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "page")
	}, nil)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			res, err := http.Get(server.URL + "/cold")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if string(body) != "page" || err != nil || res.StatusCode != 200 {
				t.Errorf("got %d %q, %v", res.StatusCode, body, err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Fatalf("the origin was called %d times, want 1", n)
	}
}
