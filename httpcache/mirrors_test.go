package httpcache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/httpcache"
)

// openOwned is openNodes for two nodes of which the first owns everything.
func openOwned(t *testing.T, handler http.HandlerFunc) (owner, other *world) {
	domain := corraltest.NewDomain()
	domain.Owner = func(string) string { return "0" }
	nodes := make([]*world, 2)
	for i := range nodes {
		nodes[i] = open(t, memory{}, handler, func(o *httpcache.Options) { o.Coordinator = domain.Keeper(fmt.Sprint(i)) })
	}
	synctest.Wait()
	return nodes[0], nodes[1]
}

func TestWhatANodeDoesNotOwnIsStoredThereWhenItIsAskedForTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner, other := openOwned(t, page("page", "Cache-Control", "max-age=60"))
		other.get("/p").want(t, 200, "page", missStored) // while it arrives
		time.Sleep(10 * time.Second)
		owner.get("/p").want(t, 200, "page", "Corral;hit;ttl=50")
		other.get("/p").want(t, 200, "page", "Corral;hit;ttl=50;detail=remote")
		other.get("/p").want(t, 200, "page", "Corral;hit;ttl=50;detail=remote")
		other.get("/p").want(t, 200, "page", "Corral;hit;ttl=50")
		owner.wantCalls(0)
		other.wantCalls(1)
	})
}

func TestWhatANodeDoesNotOwnIsFetchedOnceInEachVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner, other := openOwned(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Header().Set("Vary", "Accept-Language")
			fmt.Fprint(w, "in "+r.Header.Get("Accept-Language"))
		})
		for range 3 {
			for _, node := range []*world{other, owner} {
				for _, language := range []string{"en", "fr"} {
					if g := node.get("/p", "Accept-Language", language); g.body != "in "+language {
						t.Fatalf("got %q in %s", g.body, language)
					}
					time.Sleep(2 * time.Second)
				}
			}
		}
		if n := owner.origin.calls() + other.origin.calls(); n != 2 {
			t.Fatalf("%d fetches, want one a variant", n)
		}
	})
}

func TestALargePageOfAnotherNodePassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789", 20_000)
		owner, other := openOwned(t, page(text, "Cache-Control", "max-age=3600", "Content-Length", "200000"))
		for range 3 {
			for _, node := range []*world{other, owner} {
				if g := node.get("/p"); g.body != text {
					t.Fatalf("%d bytes came, want %d", len(g.body), len(text))
				}
				if g := node.get("/p", "Range", "bytes=100000-100004"); g.body != "01234" {
					t.Fatalf("the part is %.20q, of %d bytes", g.body, len(g.body))
				}
				time.Sleep(2 * time.Second)
			}
		}
		if n := owner.origin.calls() + other.origin.calls(); n != 1 {
			t.Fatalf("%d fetches, want one", n)
		}
	})
}
