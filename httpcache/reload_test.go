package httpcache_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// reloading opens a world whose options the test can change.
func reloading(t *testing.T, handler http.HandlerFunc, change func(*httpcache.Options)) (*world, httpcache.Options) {
	var options httpcache.Options
	w := open(t, memory{}, handler, func(o *httpcache.Options) {
		if change != nil {
			change(o)
		}
		options = *o
	})
	return w, options
}

func TestAReloadHoldsForAllLaterRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := reloading(t, slowly(time.Second, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Surrogate-Key", "t")
			page(r.RequestURI, "Cache-Control", "max-age=60")(rw, r)
		}), nil)
		before := w.begin(t.Context(), "/p?utm_x=1")
		time.Sleep(time.Second / 2)
		o.Rules = []httpcache.Rule{{TTL: 10 * time.Minute, TagFields: []string{"Surrogate-Key"}, Key: httpcache.KeyParts{DropQuery: []string{"utm_*"}}}}
		if err := w.proxy.Reload(o); err != nil {
			t.Fatal(err)
		}
		g := <-before // it goes on by what it began with
		g.wantAt(t, time.Second, 200, "/p?utm_x=1", "Corral;fwd=uri-miss;ttl=59;stored")
		if g.header.Get("Surrogate-Key") != "t" {
			t.Errorf("header = %v", g.header)
		}
		g = w.get("/p?utm_x=1")
		g.want(t, 200, "/p", "Corral;fwd=uri-miss;ttl=600;stored")
		if g.header.Get("Surrogate-Key") != "" {
			t.Errorf("header = %v", g.header)
		}
		w.purge(httpcache.Purge{Tags: []string{"t"}})
		w.get("/p").want(t, 200, "/p", "Corral;fwd=uri-miss;ttl=600;stored")
		o.Rules = nil
		if err := w.proxy.Reload(o); err != nil {
			t.Fatal(err)
		}
		w.get("/p").want(t, 200, "/p", "Corral;hit;ttl=600") // what is stored stays as it was judged
		w.get("/p?utm_x=1").want(t, 200, "/p?utm_x=1", "Corral;hit;ttl=57")
	})
}

func TestAReloadThatCannotBeChangesNothing(t *testing.T) {
	for _, test := range []struct {
		field  string
		change func(*httpcache.Options)
	}{
		{"Name", func(o *httpcache.Options) { o.Name = "Other" }},
		{"MaxBytes", func(o *httpcache.Options) { o.MaxBytes *= 2 }},
		{"MaxObjectBytes", func(o *httpcache.Options) { o.MaxObjectBytes = 1 << 10 }},
		{"MaxKeyBytes", func(o *httpcache.Options) { o.MaxKeyBytes = 100 }},
		{"MaxLoads", func(o *httpcache.Options) { o.MaxLoads = 1 }},
		{"MaxWaiters", func(o *httpcache.Options) { o.MaxWaiters = 1 }},
		{"MaxWaitersPerKey", func(o *httpcache.Options) { o.MaxWaitersPerKey = 1 }},
		{"TailTimeout", func(o *httpcache.Options) { o.TailTimeout = time.Hour }},
		{"Private", func(o *httpcache.Options) { o.Private = true }}, // what one user may have, others may not
		{"LoadTimeout", func(o *httpcache.Options) { o.LoadTimeout = time.Hour }},
		{"LoadTimeout", func(o *httpcache.Options) { o.Rules = []httpcache.Rule{{LoadTimeout: time.Hour}} }},
		{"Origin", func(o *httpcache.Options) { o.Origin = nil }},
		{"Origin", func(o *httpcache.Options) { o.Origin = &url.URL{Scheme: "ftp", Host: "x"} }},
		{"Rules[0].Path", func(o *httpcache.Options) { o.Rules = []httpcache.Rule{{Path: "x"}} }},
		{"Rules[1]", func(o *httpcache.Options) { o.Rules = []httpcache.Rule{{}, {}} }},
	} {
		t.Run(test.field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := reloading(t, page("page", "Cache-Control", "max-age=60"), nil)
				w.get("/p")
				o.Rules = append(o.Rules, httpcache.Rule{Path: "/q", Bypass: true}) // which is right, and is not taken over
				test.change(&o)
				err := w.proxy.Reload(o)
				if err == nil || !strings.Contains(err.Error(), "Options."+test.field) {
					t.Errorf("Reload = %v, want an error about %s", err, test.field)
				}
				w.get("/p").want(t, 200, "page", "Corral;hit;ttl=60")
				w.get("/q").want(t, 200, "page", missStored)
				w.get("http://elsewhere.test/p").want(t, 200, "page", missStored) // by the origin that it had
			})
		})
	}
}

func TestAReloadIsWholeOrNotThereForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each of the two sends a header to one origin and keeps it under one tag.
		w, o := reloading(t, func(rw http.ResponseWriter, r *http.Request) {
			page(r.URL.Path+" "+r.Header.Get("Cookie"), "Cache-Control", "private, max-age=60")(rw, r)
		}, nil)
		a, b := o, o
		a.Origin, b.Origin = &url.URL{Scheme: "http", Host: "origin.test", Path: "/a"}, &url.URL{Scheme: "http", Host: "origin.test", Path: "/b"}
		a.Rules = []httpcache.Rule{{Key: httpcache.KeyParts{Cookies: []string{"a"}}}}
		b.Rules = []httpcache.Rule{{Key: httpcache.KeyParts{Cookies: []string{"b"}}}}
		if err := w.proxy.Reload(a); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var done atomic.Bool
		wg.Go(func() {
			defer done.Store(true)
			for i := range 200 {
				if err := w.proxy.Reload([]httpcache.Options{a, b}[i%2]); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		for i := range 4 {
			wg.Go(func() {
				for n := 0; !done.Load(); n++ {
					target := fmt.Sprintf("/%d/%d", i, n)
					g := w.get(target, "Cookie", "a=1; b=1")
					if g.body != "/a"+target+" a=1" && g.body != "/b"+target+" b=1" {
						t.Errorf("got %d %q, %v: half of each", g.status, g.body, g.err)
						return
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
		wg.Wait()
	})
}

// A connection to the origin that a reload leaves behind does not stay.
func TestAReloadClosesTheConnectionsThatItLeaves(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	server := &http.Server{
		Handler: page("page", "Cache-Control", "private"),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		},
	}
	go server.Serve(l)
	defer server.Close()
	o := httpcache.Options{Origin: &url.URL{Scheme: "http", Host: l.Addr().String()}, MaxBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)}
	proxy, err := httpcache.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() {
		r := newRequest(context.Background(), "GET", "/p", nil)
		r.RequestURI = "/p"
		rw := &sink{header: http.Header{}}
		if proxy.ServeHTTP(rw, r); rw.status != 200 {
			t.Fatalf("got %d", rw.status)
		}
	}
	for range 10 {
		ask()
		if err := proxy.Reload(o); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if err := proxy.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); open.Load() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open after Close", open.Load())
		}
		time.Sleep(time.Millisecond)
	}
}
