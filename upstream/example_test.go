package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/corralcache/corral/upstream"
)

func Example() {
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "one answers %s for %s", r.URL.Path, r.Host)
	}))
	defer one.Close()
	gone := httptest.NewServer(nil)
	gone.Close() // refuses connections from now on

	pool, err := upstream.New(upstream.Options{
		Name:    "shop",
		Servers: []upstream.Server{at(gone.URL), at(one.URL + "/v2")},
	})
	if err != nil {
		panic(err)
	}
	defer pool.Close()

	res, err := (&http.Client{Transport: pool}).Get("http://shop.test/cart")
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Println(string(body))

	for _, s := range pool.Stats().Servers {
		fmt.Println(s.Requests, s.Failures, s.Retries)
	}
	// Output:
	// one answers /v2/cart for shop.test
	// 1 1 0
	// 1 0 1
}
