package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster"
	"github.com/corralcache/corral/httpcache"
	"github.com/corralcache/corral/internal/ramdir"
)

// soon is how long a test waits for what must come.
const soon = 60 * time.Second

// A fleet is three daemons that are one cluster, before one origin.
type fleet struct {
	*testing.T
	nodes  []*running
	sites  []*Site
	origin *countedOrigin
}

// A countedOrigin counts requests by path.
type countedOrigin struct {
	*httptest.Server
	answer http.HandlerFunc
	mu     sync.Mutex
	asked  map[string]int
}

func newCountedOrigin(t *testing.T, answer http.HandlerFunc) *countedOrigin {
	o := &countedOrigin{answer: answer, asked: map[string]int{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *countedOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked[r.URL.Path]++
	o.mu.Unlock()
	o.answer(w, r)
}

func (o *countedOrigin) calls(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

// freeAddresses are such that nobody listens on.
func freeAddresses(t *testing.T, count int) (all []string) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// testLog is shown when the test has failed.
func testLog(t *testing.T, name string) *slog.Logger {
	lines := new(logBuffer)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, strings.Join(lines.lines(), "\n"))
		}
	})
	return slog.New(slog.NewTextHandler(lines, nil))
}

// startFleet starts three nodes with an etcd in each, and waits until all own
// keys and have streams to each other.
func startFleet(t *testing.T, answer http.HandlerFunc, settings ...string) *fleet {
	t.Helper()
	const size = 3
	f := &fleet{T: t, nodes: make([]*running, size), sites: make([]*Site, size), origin: newCountedOrigin(t, answer)}
	addresses := freeAddresses(t, size)
	var joining sync.WaitGroup
	configs := make([]Config, size)
	for i := range size {
		c := valid(t)
		for name, value := range map[string]string{
			"origin": f.origin.URL, "node.name": string(rune('a' + i)), "cluster.listen": addresses[i], "cluster.peers": strings.Join(addresses, ","),
			"cluster.dir": ramdir.Dir(t, ramdir.Member), "cluster.new": "on", "listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0",
		} {
			set(t, &c, name, value)
		}
		for s := 0; s < len(settings); s += 2 {
			set(t, &c, settings[s], settings[s+1])
		}
		configs[i] = c
		joining.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			log := testLog(t, c.NodeName)
			node, err := JoinCluster(ctx, c, log)
			if err != nil {
				t.Errorf("JoinCluster %s: %v", c.NodeName, err)
				return
			}
			if f.sites[i], err = NewHandler(c, log, Tiers{Node: node}); err != nil {
				t.Error(err)
			}
		})
	}
	joining.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i, site := range f.sites {
		f.nodes[i] = startWith(t, configs[i], Options{Handler: site, Cluster: site.tiers.Node})
	}
	f.connected()
	return f
}

// connected waits until all is as it stays.
func (f *fleet) connected() {
	f.Helper()
	deadline := time.Now().Add(soon)
	for i, site := range f.sites {
		for {
			status, owners := site.tiers.Node.Status(), map[string]int{}
			for _, p := range site.tiers.Node.Table() {
				owners[p.Owner]++
			}
			least, most := status.Partitions, 0
			for _, owned := range owners {
				least, most = min(least, owned), max(most, owned)
			}
			code, _ := get(f.T, client(f.T, false), f.nodes[i].AdminURL()+"/readyz")
			if status.Streams() == len(f.sites)-1 && len(owners) == len(f.sites) && most-least <= 1 && code == http.StatusOK {
				break
			}
			if time.Now().After(deadline) {
				f.Fatalf("node %s has %d streams, the owners are %v, /readyz says %d", status.Name, status.Streams(), owners, code)
			}
			time.Sleep(10 * time.Millisecond) // etcd and sockets have no virtual time
		}
	}
}

// owner is the number of the node that owns the key of a path. Requests name
// the host as clients of all nodes do.
func (f *fleet) owner(path string) int {
	key, err := f.sites[0].Key("http://" + host + path)
	if err != nil {
		f.Fatal(err)
	}
	name := f.sites[0].tiers.Node.Find("corral", key).Owner
	return int(name[0] - 'a')
}

// host is the site's, at all nodes.
const host = "www.example.com"

// got is an answer.
type got struct {
	code  int
	body  string
	cache string
	head  http.Header
	err   error
}

func (f *fleet) do(ctx context.Context, node int, method, path string, header ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, f.nodes[node].URL()+path, nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	return transport.RoundTrip(request)
}

// lapsed reports whether a node's lease has run out: on a machine that is short
// of processor time it may, and then a load may be repeated.
func (f *fleet) lapsed() bool {
	for _, site := range f.sites {
		if s := site.tiers.Node.Status(); s.Lapses+s.Buried > 0 {
			return true
		}
	}
	return false
}

// ask requests a path at a node, again while that may not answer.
func (f *fleet) ask(node int, path string, header ...string) (g got) {
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if g = f.askOnce(node, path, header...); g.code != http.StatusServiceUnavailable || !f.lapsed() {
			return g
		}
	}
	return g
}

func (f *fleet) askOnce(node int, path string, header ...string) got {
	response, err := f.do(f.Context(), node, http.MethodGet, path, header...)
	if err != nil {
		return got{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return got{response.StatusCode, string(body), response.Header.Get("Cache-Status"), response.Header, err}
}

// everywhere requests a path at every node, so many times at once.
func (f *fleet) everywhere(times int, path string, header ...string) []got {
	all := make([]got, times*len(f.nodes))
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() { all[i] = f.ask(i%len(f.nodes), path, header...) })
	}
	asking.Wait()
	return all
}

func (f *fleet) want(g got, code int, body string) {
	f.Helper()
	if g.err != nil || g.code != code || g.body != body {
		f.Errorf("got %d %.60q, %v (%s); want %d %.60q", g.code, g.body, g.err, g.cache, code, body)
	}
}

func (f *fleet) wantCalls(path string, want int) {
	f.Helper()
	calls := f.origin.calls(path)
	switch {
	case calls == want:
	case calls > want && f.lapsed():
		f.Logf("the origin was asked for %s %d times instead of %d: let pass, because the lease of a node had run out", path, calls, want)
	default:
		f.Errorf("the origin was asked for %s %d times, want %d", path, calls, want)
	}
}

// purge purges at one node.
func (f *fleet) purge(node int, what string) {
	f.Helper()
	response, err := http.Post(f.nodes[node].AdminURL()+"/purge", "application/json", strings.NewReader(what))
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		f.Fatalf("purge %s: %d %s", what, response.StatusCode, body)
	}
}

// One cluster is started for all of these: it takes some seconds.
func TestThreeNodesAreOneCache(t *testing.T) {
	var version atomic.Int64
	version.Store(1)
	large := make([]byte, 10<<20)
	rand.NewChaCha8([32]byte{1}).Read(large)
	steps := make(chan string) // of /steps
	mux := http.NewServeMux()
	mux.HandleFunc("/cold/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond) // the load
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "page")
	})
	mux.HandleFunc("/version/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, "version %d", version.Load())
		}
	})
	mux.HandleFunc("/steps/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		for step := range steps {
			fmt.Fprint(w, step)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/large/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		if strings.HasSuffix(r.URL.Path, "chunked") {
			w.(http.Flusher).Flush()
		}
		for rest := large; len(rest) > 0; {
			n := min(len(rest), 1<<20)
			w.Write(rest[:n])
			rest = rest[n:]
			time.Sleep(5 * time.Millisecond) // it grows while it is read
		}
	})
	mux.HandleFunc("/half/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		time.Sleep(200 * time.Millisecond)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/fails/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond)
		w.Header().Set("Retry-After", "30")
		http.Error(w, "no database", http.StatusInternalServerError)
	})
	mux.HandleFunc("/private/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		w.Header().Set("Cache-Control", "private")
		fmt.Fprint(w, r.Header.Get("X-Who"))
	})
	mux.HandleFunc("/vary/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		fmt.Fprint(w, "in "+r.Header.Get("Accept-Language"))
	})
	validated := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=1, stale-if-error=60")
		if strings.HasPrefix(r.URL.Path, "/refreshed/") {
			w.Header().Set("Cache-Control", "public, max-age=1, stale-while-revalidate=60")
		}
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "validated")
	}
	mux.HandleFunc("/validated/", validated)
	mux.HandleFunc("/refreshed/", validated)
	f := startFleet(t, mux.ServeHTTP)

	t.Run("a cold page is fetched once for all", func(t *testing.T) {
		f := f.in(t)
		for i := range 3 { // whoever owns it
			path := fmt.Sprintf("/cold/%d", i)
			for _, g := range f.everywhere(50, path) {
				f.want(g, 200, "page")
			}
			f.wantCalls(path, 1)
		}
	})

	t.Run("what another node has is a hit", func(t *testing.T) {
		f := f.in(t)
		const path = "/cold/hit"
		owner := f.owner(path)
		f.want(f.ask(owner, path), 200, "page")
		time.Sleep(50 * time.Millisecond) // so that it is older than the question
		g := f.ask((owner+1)%3, path)
		f.want(g, 200, "page")
		if f.lapsed() {
			t.Skip("a lease has run out")
		}
		if !strings.HasPrefix(g.cache, "corral;hit;ttl=") || !strings.HasSuffix(g.cache, ";detail=remote") {
			t.Errorf("Cache-Status is %q, want a hit with the detail remote", g.cache)
		}
		f.ask((owner+1)%3, path) // twice within a second earns it a place there
		if g := f.ask((owner+1)%3, path); strings.Contains(g.cache, "remote") {
			t.Errorf("Cache-Status of the third request is %q, want a hit of the node's own", g.cache)
		}
	})

	t.Run("a purge at one node is one at all", func(t *testing.T) {
		f := f.in(t)
		for round := range int64(9) {
			want := fmt.Sprintf("version %d", version.Load())
			for node := range 3 {
				f.want(f.ask(node, "/version/a"), 200, want)
			}
			version.Add(1)
			f.purge(int(round)%3, `{"url": "http://`+host+`/version/a"}`)
		}
		f.purge(0, `{"prefix": "http://`+host+`/"}`)
		f.purge(1, `{"all": true}`)
	})

	t.Run("an unsafe request at one node ends what all have", func(t *testing.T) {
		f := f.in(t)
		for node := range 3 {
			f.want(f.ask(node, "/version/b"), 200, fmt.Sprintf("version %d", version.Load()))
		}
		version.Add(1)
		response, err := f.do(t.Context(), 1, http.MethodPut, "/version/b")
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("PUT: %v, %v", response, err)
		}
		response.Body.Close()
		for node := range 3 {
			f.want(f.ask(node, "/version/b"), 200, fmt.Sprintf("version %d", version.Load()))
		}
	})

	t.Run("a body is read everywhere while it arrives", func(t *testing.T) {
		f := f.in(t)
		const path = "/steps/a"
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		var bodies []io.ReadCloser
		for node := range 3 {
			response := make(chan *http.Response, 1)
			go func() {
				r, err := f.do(ctx, node, http.MethodGet, path)
				if err != nil {
					t.Error(err)
				}
				response <- r
			}()
			if node == 0 {
				steps <- "first " // which begins the answer
			}
			r := <-response
			if r == nil {
				t.FailNow()
			}
			defer r.Body.Close()
			bodies = append(bodies, r.Body)
		}
		for _, step := range []string{"first ", "second "} {
			if step != "first " {
				steps <- step
			}
			for node, body := range bodies {
				part := make([]byte, len(step))
				if _, err := io.ReadFull(body, part); err != nil || string(part) != step {
					t.Fatalf("node %d: read %q, %v while the origin sends; want %q", node, part, err, step)
				}
			}
		}
		close(steps)
		for node, body := range bodies {
			if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
				t.Errorf("node %d: the end is %q, %v", node, rest, err)
			}
		}
		f.wantCalls(path, 1)
	})

	t.Run("a body of 10 MiB is exact everywhere", func(t *testing.T) {
		f := f.in(t)
		sum := sha256.Sum256(large)
		for _, path := range []string{"/large/1", "/large/2", "/large/3", "/large/chunked"} {
			for i, g := range append(f.everywhere(2, path), f.everywhere(1, path)...) {
				if is := sha256.Sum256([]byte(g.body)); g.err != nil || is != sum {
					t.Errorf("%s, request %d: %d bytes, %v (%s); want the origin's %d", path, i, len(g.body), g.err, g.cache, len(large))
				}
			}
			f.wantCalls(path, 1)
		}
	})

	t.Run("a body that breaks off is cut for all", func(t *testing.T) {
		f := f.in(t)
		for i, g := range f.everywhere(1, "/half/a") {
			if g.err == nil {
				t.Errorf("request %d took %q for the whole", i, g.body)
			}
		}
	})

	t.Run("a failure is told to all alike", func(t *testing.T) {
		f := f.in(t)
		const path = "/fails/a"
		pages := 0
		for _, g := range f.everywhere(10, path) {
			if g.body == "no database\n" {
				pages++ // to the request that caused it
			} else if g.body != "the origin answered 500 Internal Server Error\n" {
				t.Errorf("told %q", g.body)
			}
			if g.code != 500 || g.head.Get("Retry-After") == "" || !strings.Contains(g.cache, "detail=origin-failed") {
				t.Errorf("got %d, Retry-After %q, %s; want 500 with a pause", g.code, g.head.Get("Retry-After"), g.cache)
			}
		}
		if pages > 1 {
			t.Errorf("%d requests were given the page, want that which caused it", pages)
		}
		f.wantCalls(path, 1)
	})

	t.Run("a private answer is for its own client", func(t *testing.T) {
		f := f.in(t)
		all := make([]got, 30)
		var asking sync.WaitGroup
		for i := range all {
			asking.Go(func() { all[i] = f.ask(i%3, "/private/a", "X-Who", fmt.Sprint(i)) })
		}
		asking.Wait()
		for i, g := range all {
			f.want(g, 200, fmt.Sprint(i))
		}
		f.wantCalls("/private/a", len(all))
	})

	t.Run("variants are found by all", func(t *testing.T) {
		f := f.in(t)
		for _, language := range []string{"de", "en", "fr"} {
			for node := range 3 {
				f.want(f.ask(node, "/vary/a", "Accept-Language", language), 200, "in "+language)
			}
		}
		f.wantCalls("/vary/a", 3)
	})

	t.Run("what has expired somewhere is whole everywhere", func(t *testing.T) {
		f := f.in(t)
		var paths []string
		for i := range 3 {
			paths = append(paths, fmt.Sprintf("/validated/%d", i), fmt.Sprintf("/refreshed/%d", i))
		}
		for _, path := range paths {
			f.want(f.ask(f.owner(path), path), 200, "validated")
			f.want(f.ask((f.owner(path)+1)%3, path), 200, "validated")
		}
		time.Sleep(1100 * time.Millisecond) // the lifetime
		for range 2 {                       // stale, and refreshed
			for _, path := range paths {
				for node := range 3 {
					f.want(f.ask((f.owner(path)+2+node)%3, path), 200, "validated")
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	})

	t.Run("a reload leaves a node in its cluster", func(t *testing.T) {
		f := f.in(t)
		config := *f.nodes[1].config.Load()
		config.LoadTimeout -= time.Second
		if err := f.sites[1].Reload(config); err != nil {
			t.Fatal(err)
		}
		f.want(f.ask(0, "/version/reloaded"), 200, fmt.Sprintf("version %d", version.Load()))
		f.want(f.ask(1, "/version/reloaded"), 200, fmt.Sprintf("version %d", version.Load()))
		f.wantCalls("/version/reloaded", 1)
		version.Add(1)
		f.purge(1, `{"all": true}`)
		f.want(f.ask(0, "/version/reloaded"), 200, fmt.Sprintf("version %d", version.Load()))
	})

	t.Run("the admin listener shows the cluster", func(t *testing.T) {
		f := f.in(t)
		for i, n := range f.nodes {
			for path, want := range map[string]string{
				"/cluster/status":  fmt.Sprintf(`"node":"%c","standing":true`, 'a'+i),
				"/cluster/table":   `"owner":"b"`,
				"/cluster/members": `"role":"leader"`,
				"/cluster/partitions?key=http://" + host + "/cold/0": `"key":"GET `,
			} {
				if code, body := get(t, client(t, false), n.AdminURL()+path); code != 200 || !strings.Contains(body, want) {
					t.Errorf("GET %s at node %c = %d %.300s, want %s in it", path, 'a'+i, code, body, want)
				}
			}
		}
	})

	t.Run("a node that is drained owns nothing, serves and is ready", func(t *testing.T) {
		f := f.in(t)
		order := func(at int, query string) (int, string) {
			response, err := http.Post(f.nodes[at].AdminURL()+"/cluster/drain?node="+query, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			return response.StatusCode, string(body)
		}
		owned := func(node int) int { return f.sites[node].tiers.Node.Status().Owned }
		if code, body := order(0, "b"); code != 200 || !strings.Contains(body, `"draining":true`) {
			t.Fatalf("drain of b at a = %d %s", code, body)
		}
		waitFor(t, func() bool { return owned(1) == 0 })
		if code, body := get(t, client(t, false), f.nodes[1].AdminURL()+"/readyz"); code != 200 {
			t.Errorf("/readyz of the drained node = %d %s", code, body)
		}
		for i := range 10 {
			path := fmt.Sprintf("/version/drained-%d", i)
			f.want(f.ask(1, path), 200, fmt.Sprintf("version %d", version.Load()))
			f.wantCalls(path, 1)
		}
		if code, body := order(1, "nobody"); code != 404 || !strings.Contains(body, "a, b, c") {
			t.Errorf("drain of a node that is not there = %d %s", code, body)
		}
		if code, body := order(1, "b&undo=on"); code != 200 || !strings.Contains(body, `"draining":false`) {
			t.Errorf("undo at b = %d %s", code, body)
		}
		waitFor(t, func() bool { return owned(1) > 0 })
		f.connected()
	})

	t.Run("a node that stops leaves the others whole", func(t *testing.T) {
		f := f.in(t)
		f.nodes[2].stop()
		select {
		case err := <-f.nodes[2].done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(soon):
			t.Fatal("it does not stop")
		}
		for i := range 30 {
			path := fmt.Sprintf("/version/after-%d", i)
			for node := range 2 {
				f.want(f.ask(node, path), 200, fmt.Sprintf("version %d", version.Load()))
			}
			f.wantCalls(path, 1)
		}
	})

	t.Run("a node without etcd answers nothing, and says so", func(t *testing.T) {
		f := f.in(t)
		f.want(f.ask(0, "/version/last"), 200, fmt.Sprintf("version %d", version.Load()))
		f.nodes[1].stop() // of three members of etcd one is left
		<-f.nodes[1].done
		waitFor(t, func() bool {
			code, body := get(t, client(t, false), f.nodes[0].AdminURL()+"/readyz")
			return code == http.StatusServiceUnavailable && strings.HasPrefix(body, "no lease")
		})
		for _, path := range []string{"/version/last", "/version/new"} { // it has the first
			g := f.askOnce(0, path)
			if g.code != http.StatusServiceUnavailable || g.head.Get("Retry-After") == "" || !strings.Contains(g.cache, "detail=unavailable") {
				t.Errorf("GET %s = %d, Retry-After %q, %s; want 503 unavailable", path, g.code, g.head.Get("Retry-After"), g.cache)
			}
		}
		response, err := http.Post(f.nodes[0].AdminURL()+"/purge", "application/json", strings.NewReader(`{"all": true}`))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("a purge that is not acknowledged is answered with %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
		}
	})
}

// member is a Member that knows nothing but whether it stands.
type member struct {
	standing atomic.Bool
	ordered  []string
	refuses  error
}

func (m *member) Status() cluster.Status {
	return cluster.Status{Name: "a", Standing: m.standing.Load(), Lease: 1500 * time.Millisecond, Partitions: 2, Owned: 1,
		Nodes: []cluster.NodeStatus{{Name: "a", State: "live", Seen: time.Second}}, HolderLost: 3}
}

func (m *member) Table() []cluster.PartitionStatus {
	return []cluster.PartitionStatus{{Owner: "a", Generation: 7}, {}}
}

func (m *member) Find(cache, key string) cluster.KeyStatus {
	k := cluster.KeyStatus{Partition: 1, Owner: "a", Incarnation: 4, Generation: 7}
	if key == "busy" {
		k.Loading, k.Holder, k.Waiters = true, "b", 3
	}
	return k
}

func (m *member) EtcdMembers(context.Context) ([]cluster.EtcdMember, error) {
	return []cluster.EtcdMember{
		{Name: "one", Reachable: true, Leader: true, Led: true}, {Name: "two", Reachable: true, Led: true}, {Name: "three", Reachable: true},
		{Name: "four", Reachable: true, Led: true, Learner: true}, {Name: "five", Cause: "refused"},
	}, errors.New("and more")
}

func (m *member) Drain(_ context.Context, name string) error {
	m.ordered = append(m.ordered, "drain "+name)
	return m.refuses
}

func (m *member) Undrain(_ context.Context, name string) error {
	m.ordered = append(m.ordered, "undrain "+name)
	return m.refuses
}

func TestANodeIsReadyWhileItHasALease(t *testing.T) {
	m := new(member)
	c := valid(t)
	set(t, &c, "listen", "127.0.0.1:0")
	set(t, &c, "admin.listen", "127.0.0.1:0")
	s := startWith(t, c, Options{Handler: stub{HandlerFunc: hello}, Cluster: m})
	for _, standing := range []bool{false, true, false} {
		m.standing.Store(standing)
		wantCode, wantBody, wantReady := 503, "no lease: this node of the cluster does not reach etcd, or not in time\n", "corral_ready 0\n"
		if standing {
			wantCode, wantBody, wantReady = 200, "ready\n", "corral_ready 1\n"
		}
		if code, body := get(t, client(t, false), s.AdminURL()+"/readyz"); code != wantCode || body != wantBody {
			t.Errorf("standing %v: /readyz = %d %q, want %d %q", standing, code, body, wantCode, wantBody)
		}
		if _, metrics := get(t, client(t, false), s.AdminURL()+"/metrics"); !strings.Contains(metrics, wantReady) {
			t.Errorf("standing %v: /metrics lacks %q", standing, wantReady)
		}
	}
}

func TestTheClusterIsShownToWhoMayAct(t *testing.T) {
	c := valid(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0", "admin.token-file": token} {
		set(t, &c, name, value)
	}
	s := startWith(t, c, Options{Handler: stub{HandlerFunc: hello}, Cluster: new(member)})
	alone := startWith(t, c, Options{Handler: stub{HandlerFunc: hello}})
	for _, row := range []struct {
		at         *running
		path, with string
		code       int
		want       string
	}{
		{s, "/cluster/status", "", 401, "admin.token-file"},
		{s, "/cluster/table", "", 401, "admin.token-file"},
		{s, "/cluster/status", "0123456789abcdef", 200, `"node":"a","standing":false,"lease_ms":1500,`},
		{s, "/cluster/status", "0123456789abcdef", 200, `"holder_lost":3`},
		{s, "/cluster/table", "0123456789abcdef", 200, `"partitions":[{"owner":"a","generation":7},{"owner":"","generation":0}]`},
		{s, "/cluster/partitions", "0123456789abcdef", 400, "?key="},
		{s, "/cluster/partitions?key=http://a/", "0123456789abcdef", 200, `"key":"http://a/","partition":1,"owner":"a","incarnation":4,"generation":7,"load":null`},
		{s, "/cluster/partitions?key=busy", "0123456789abcdef", 200, `"load":{"holder":"b","waiters":3,"adopted":false}`},
		{s, "/cluster/members", "", 401, "admin.token-file"},
		{s, "/cluster/members", "0123456789abcdef", 200, `"etcd_error":"and more"`},
		{s, "/cluster/drain?node=a", "0123456789abcdef", 405, ""},
		{alone, "/cluster/status", "0123456789abcdef", 404, "cluster.listen"},
	} {
		request, err := http.NewRequest(http.MethodGet, row.at.AdminURL()+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.with != "" {
			request.Header.Set("Authorization", "Bearer "+row.with)
		}
		response, err := client(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != row.code || !strings.Contains(string(body), row.want) {
			t.Errorf("GET %s with %q = %d %s, want %d with %s", row.path, row.with, response.StatusCode, body, row.code, row.want)
		}
	}
}

func TestAnOrderToDrainIsAnsweredByWhatBecameOfIt(t *testing.T) {
	for _, row := range []struct {
		query   string
		refuses error
		code    int
		ordered string
		want    string
	}{
		{"?node=b", nil, 200, "drain b", `{"node":"b","draining":true}`},
		{"?node=b&undo=on", nil, 200, "undrain b", `{"node":"b","draining":false}`},
		{"", nil, 400, "", "?node="},
		{"?node=x", cluster.ErrUnknownNode, 404, "drain x", "this node knows a"},
		{"?node=b", cluster.ErrLastOwner, 409, "drain b", "start one"},
		{"?node=b", cluster.ErrNoLease, 503, "drain b", "majority"},
		{"?node=b", context.DeadlineExceeded, 502, "drain b", "repeat it"},
	} {
		m := &member{refuses: row.refuses}
		m.standing.Store(true)
		c := valid(t)
		set(t, &c, "listen", "127.0.0.1:0")
		set(t, &c, "admin.listen", "127.0.0.1:0")
		s := startWith(t, c, Options{Handler: stub{HandlerFunc: hello}, Cluster: m})
		response, err := http.Post(s.AdminURL()+"/cluster/drain"+row.query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != row.code || !strings.Contains(string(body), row.want) || strings.Join(m.ordered, "; ") != row.ordered {
			t.Errorf("POST %s = %d %s after %v; want %d with %s after %s", row.query, response.StatusCode, body, m.ordered, row.code, row.want, row.ordered)
		}
		if unavailable := row.code == 503; (response.Header.Get("Retry-After") != "") != unavailable {
			t.Errorf("POST %s: %d with Retry-After %q", row.query, row.code, response.Header.Get("Retry-After"))
		}
	}
}

func TestANodeWithoutALeaseOrdersNobody(t *testing.T) {
	m := new(member)
	c := valid(t)
	set(t, &c, "listen", "127.0.0.1:0")
	set(t, &c, "admin.listen", "127.0.0.1:0")
	s := startWith(t, c, Options{Handler: stub{HandlerFunc: hello}, Cluster: m})
	for _, query := range []string{"?node=a", "?node=b", "?node=b&undo=on"} {
		response, err := http.Post(s.AdminURL()+"/cluster/drain"+query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 503 || len(m.ordered) > 0 {
			t.Errorf("POST %s = %d, and ordered %v", query, response.StatusCode, m.ordered)
		}
	}
}

func TestTheRoleOfAMemberOfEtcdIsWhatItSaysItself(t *testing.T) {
	m := new(member)
	members, err := m.EtcdMembers(t.Context())
	view := membersOf(m.Status(), members, err)
	var roles []string
	for _, one := range view.Etcd {
		roles = append(roles, one.Name+" "+one.Role)
	}
	if got, want := strings.Join(roles, ", "), "one leader, two follower, three no-leader, four learner, five unreachable"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAPurgeThatIsNotAcknowledgedIsToBeRepeated(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello, purge: func(httpcache.Purge) error {
		return fmt.Errorf("%w: etcd is away", corral.ErrNotAcknowledged)
	}})
	response, err := http.Post(s.AdminURL()+"/purge", "application/json", strings.NewReader(`{"all": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), "repeat it") || !strings.Contains(string(body), `"acknowledged":false`) {
		t.Errorf("got %d %s, want 503 that says to repeat it", response.StatusCode, body)
	}
}

// in is the fleet in a part of a test.
func (f *fleet) in(t *testing.T) *fleet {
	part := *f
	part.T = t
	return &part
}
