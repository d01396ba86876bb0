package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/httpcache"
)

// openNodes starts proxies that are one cache, before one handler.
func openNodes(t *testing.T, count int, handler http.HandlerFunc, change func(*httpcache.Options)) []*world {
	domain := corraltest.NewDomain()
	nodes := make([]*world, count)
	for i := range nodes {
		nodes[i] = open(t, memory{}, handler, func(o *httpcache.Options) {
			o.Coordinator = domain.Process(fmt.Sprint(i))
			if change != nil {
				change(o)
			}
		})
	}
	synctest.Wait() // until their watches have begun
	return nodes
}

const remoteCollapsed = "Corral;fwd=uri-miss;ttl=59;stored;collapsed;detail=remote"

func TestWhatOneNodeFetchesAllAreGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := openNodes(t, 2, slowly(time.Second, page("page", "Cache-Control", "max-age=60")), nil)
		first := nodes[0].begin(t.Context(), "/p")
		synctest.Wait()
		second := nodes[1].begin(t.Context(), "/p")
		(<-first).wantAt(t, time.Second, 200, "page", "Corral;fwd=uri-miss;ttl=59;stored")
		(<-second).wantAt(t, time.Second, 200, "page", remoteCollapsed)
		nodes[0].wantCalls(1)
		nodes[1].wantCalls(0)
	})
}

func TestWhatAnotherNodeHadIsAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := openNodes(t, 2, page("page", "Cache-Control", "max-age=60"), nil)
		nodes[0].get("/p").want(t, 200, "page", missStored)
		time.Sleep(10 * time.Second)
		g := nodes[1].get("/p")
		g.want(t, 200, "page", "Corral;hit;ttl=50;detail=remote")
		if age := g.header.Get("Age"); age != "10" {
			t.Errorf("Age = %q, want 10", age)
		}
		nodes[1].get("/p").want(t, 200, "page", "Corral;hit;ttl=50")
		nodes[1].wantCalls(0)
	})
}

func TestAnIdentitysAnswersAreItsOwnAtEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := openNodes(t, 2, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "private, max-age=60")
			fmt.Fprint(w, "for "+r.Header.Get("Authorization"))
		}, func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/mine", Key: httpcache.KeyParts{Authorization: true}}}
		})
		for _, who := range []string{"anna", "bert"} {
			for _, node := range nodes {
				if g := node.get("/mine", "Authorization", who); g.body != "for "+who {
					t.Errorf("%s was given %q", who, g.body)
				}
			}
		}
		nodes[0].wantCalls(2)
		nodes[1].wantCalls(0)
		for i, node := range nodes { // no rule, and so nobody else's
			if g := node.get("/other", "Authorization", fmt.Sprint(i)); g.body != "for "+fmt.Sprint(i) {
				t.Errorf("request %d was given %q", i, g.body)
			}
		}
	})
}

// unheard is a Coordinator whose invalidations nobody acknowledges.
type unheard struct {
	corral.Coordinator
	asked atomic.Int64
}

func (u *unheard) Invalidate(ctx context.Context, _ corral.Target) error {
	u.asked.Add(1)
	<-ctx.Done()
	return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, ctx.Err())
}

// openUnheard starts a proxy whose invalidations nobody acknowledges.
func openUnheard(t *testing.T, handler http.HandlerFunc, change func(*httpcache.Options)) (*world, *unheard) {
	u := &unheard{Coordinator: corraltest.NewDomain().Process("a")}
	w := open(t, memory{}, handler, func(o *httpcache.Options) {
		o.Coordinator = u
		if change != nil {
			change(o)
		}
	})
	synctest.Wait()
	return w, u
}

// The client is told what the origin did: it would do it again.
func TestAChangeThatNodesHaveNotHeardOfIsAnsweredAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, u := openUnheard(t, page("done"), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		w.do(ctx, http.MethodPut, "/left") // its client leaves before it is acknowledged
		w.do(t.Context(), http.MethodPut, "/p").wantAt(t, 10*time.Second, 200, "done", "Corral;fwd=method;detail=not-invalidated")
		if asked := u.asked.Load(); asked != 2 {
			t.Errorf("%d invalidations, want 2", asked)
		}
	})
}

func TestWhatIsForgottenForMemorysSakeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, u := openUnheard(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "Accept")
			fmt.Fprint(w, r.Header.Get("Accept"))
		}, func(o *httpcache.Options) { o.MaxVariants = 1 })
		for i := range 5 {
			accept := fmt.Sprint(i)
			w.get("/p", "Accept", accept).wantAt(t, 0, 200, accept, map[bool]string{true: missStored, false: "Corral;fwd=vary-miss;ttl=60;stored"}[i == 0])
		}
		if asked := u.asked.Load(); asked == 0 {
			t.Error("nothing was forgotten")
		}
	})
}

func TestACacheOfOneUserIsNotShared(t *testing.T) {
	_, err := httpcache.NewProxy(httpcache.Options{
		Origin: &url.URL{Scheme: "http", Host: "o"}, MaxBytes: 1 << 20, Private: true, Coordinator: corraltest.NewDomain().Process("a"),
	})
	if err == nil || !strings.Contains(err.Error(), "Options.Private is true: leave Coordinator out") {
		t.Errorf("NewProxy: %v", err)
	}
}
