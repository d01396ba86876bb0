package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/corralcache/corral/internal/localserver"
)

// counted is an origin whose answers live for an hour, and how often it was asked.
func counted(t *testing.T) (url string, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("X-Of", r.URL.Path)
		fmt.Fprintf(w, "the page %s\n", r.URL.Path)
	}))
	t.Cleanup(origin.Close)
	return origin.URL, calls
}

// visit gets a page, and what its Cache-Status says.
func visit(t *testing.T, address string) (body, status string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), response.Header.Get("Cache-Status")
}

// throughHost lets requests for shop.test go to a server, whatever its port.
func throughHost(t *testing.T, url, path string) (body, status string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.test"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), response.Header.Get("Cache-Status")
}

// ask fetches pages 0 to n-1 by a few clients at once.
func ask(t *testing.T, url string, n int) (stored int64) {
	t.Helper()
	var clients sync.WaitGroup
	var found atomic.Int64
	for client := range 8 {
		clients.Go(func() {
			for i := client; i < n; i += 8 {
				path := fmt.Sprintf("/p/%d", i)
				body, status := throughHost(t, url, path)
				if body != "the page "+path+"\n" {
					t.Errorf("%s is %q", path, body)
				}
				if strings.HasSuffix(status, "detail=store") {
					found.Add(1)
				}
			}
		})
	}
	clients.Wait()
	http.DefaultClient.CloseIdleConnections()
	return found.Load()
}

// end stops a daemon and waits for it.
func (d *daemon) end(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	d.cancel()
	if code := <-d.code; code != exitOK {
		t.Fatalf("exit code = %d, want %d", code, exitOK)
	}
}

func TestFreshAnswersAreServedAfterARestartWithoutTheOrigin(t *testing.T) {
	const pages = 1000
	redis := localserver.Redis(t)
	for name, store := range map[string][]string{
		"disk":  {"--store.dir", t.TempDir()},
		"redis": {"--store.redis.url", "redis://" + redis.Addr(), "--store.timeout", "5s"},
	} {
		t.Run(name, func(t *testing.T) {
			origin, calls := counted(t)
			args := append([]string{"--origin", origin}, store...)
			first := serveInBackground(t, args...)
			if ask(t, first.url, pages); calls.Load() != pages {
				t.Fatalf("the origin was asked %d times for %d pages", calls.Load(), pages)
			}
			first.end(t)
			calls.Store(0)
			second := serveInBackground(t, args...)
			if found := ask(t, second.url, pages); calls.Load() != 0 || found != pages {
				t.Errorf("after the restart the origin was asked %d times, and the store gave %d of %d", calls.Load(), found, pages)
			}
			second.end(t)
		})
	}
}

// TestMain lets this test's program be corral itself, to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("CORRAL_TEST_RUN") != "" {
		os.Unsetenv("CORRAL_TEST_RUN")
		main()
		return
	}
	os.Exit(m.Run())
}

// serveApart runs serve in a process of its own.
func serveApart(t *testing.T, args ...string) (process *exec.Cmd, url, admin string) {
	t.Helper()
	process = exec.Command(os.Args[0], append([]string{"serve", "--listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0", "--access-log=off"}, args...)...)
	process.Env = append(os.Environ(), "CORRAL_TEST_RUN=1")
	log, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Kill()
		process.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, URL, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
			go io.Copy(io.Discard, log)
			return process, line.URL, line.Admin
		}
	}
	t.Fatal("serve ended before it was ready")
	return nil, "", ""
}

func TestServeThatIsKilledServesWhatItHadWrittenAfterARestart(t *testing.T) {
	const pages = 200
	dir := t.TempDir()
	origin, calls := counted(t)
	process, url, admin := serveApart(t, "--origin", origin, "--store.dir", dir)
	ask(t, url, pages)
	for out := ""; !strings.Contains(out, "200 keys"); { // they are written behind the answers
		_, out, _ = corral(t, "store", "ls", "--admin", admin)
	}
	// A purge is synced before it is acknowledged, and with it all puts before.
	if code, out, errs := corral(t, "store", "rm", "http://shop.test/p/0", "--admin", admin); code != exitOK {
		t.Fatalf("store rm: %s%s", out, errs)
	}
	if err := process.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	process.Wait()
	calls.Store(0)
	again := serveInBackground(t, "--origin", origin, "--store.dir", dir)
	if found := ask(t, again.url, pages); calls.Load() != 1 || found != pages-1 {
		t.Errorf("after kill -9 the origin was asked %d times, want once for what was purged, and the store gave %d of %d", calls.Load(), found, pages)
	}
	again.end(t)
	if code, out, errs := corral(t, "store", "verify", "--dir", dir); code != exitOK || !strings.Contains(out, "200 values") || !strings.Contains(out, " 0 were broken") {
		t.Errorf("store verify: %d, %s%s", code, out, errs)
	}
}

func TestTwoServesWithACoordinatorInRedisAskTheOriginOnce(t *testing.T) {
	redis := localserver.Redis(t)
	var calls atomic.Int64
	asked, finish := make(chan struct{}, 100), make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		asked <- struct{}{}
		<-finish
		fmt.Fprint(w, strings.Repeat("film", 64<<10))
	}))
	defer origin.Close()
	var daemons []*daemon
	for range 2 {
		daemons = append(daemons, serveInBackground(t, "--origin", origin.URL, "--coordinator", "redis", "--redis.url", "redis://"+redis.Addr()))
	}
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			if body, status := throughHost(t, daemons[i%2].url, "/film"); body != strings.Repeat("film", 64<<10) {
				t.Errorf("a body of %d bytes, Cache-Status %s", len(body), status)
			}
		})
	}
	<-asked
	close(finish)
	clients.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	if text, _ := visit(t, daemons[0].admin+"/metrics"); !strings.Contains(text, `corral_redislock_up{cache="corral"} 1`) {
		t.Error("/metrics has no corral_redislock_up")
	}
	for _, d := range daemons {
		d.end(t)
	}
}

func TestServeGoesOnWithoutARedisThatIsNotThere(t *testing.T) {
	nowhere := "redis://" + freeAddress(t)
	for _, args := range [][]string{{"--store.redis.url", nowhere}, {"--coordinator", "redis", "--redis.url", nowhere}} {
		origin, calls := counted(t)
		d := serveInBackground(t, append(args, "--origin", origin)...)
		if body, _ := visit(t, d.url+"/p"); body != "the page /p\n" || calls.Load() != 1 {
			t.Errorf("%v: %q after %d calls", args, body, calls.Load())
		}
		d.end(t)
	}
}

func TestADirectoryThatIsOfNoUseEndsServeWithAMessage(t *testing.T) {
	used := t.TempDir()
	origin, _ := counted(t)
	d := serveInBackground(t, "--origin", origin, "--store.dir", used)
	other, strange := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{other: "corral disk store, format 9\n", strange: "mug"} {
		if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{used: "another process has it", other: "format 9", strange: "is not what a store writes", "/dev/null/x": "not a directory"} {
		code, _, errs := corral(t, "serve", "--origin", origin, "--listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0", "--log.level=error", "--store.dir", dir)
		if start := fmt.Sprintf("command line: store.dir is %q: ", dir); code != exitFailed || !strings.Contains(errs, start) || !strings.Contains(errs, want) {
			t.Errorf("serve with the directory %s: %d, %s; want %d and %s…%s", dir, code, errs, exitFailed, start, want)
		}
	}
	if code, _, errs := corral(t, "store", "stat", "--dir", used); code != exitFailed || !strings.Contains(errs, "--admin") {
		t.Errorf("store stat of a directory in use: %d, %s; want that it names --admin", code, errs)
	}
	d.end(t)
}

func TestTheStoreCommandsShowWhatIsThereNearAndFar(t *testing.T) {
	redis := localserver.Redis(t)
	dir := t.TempDir()
	for name, source := range map[string]struct{ serve, open []string }{
		"disk":  {[]string{"--store.dir", dir}, []string{"--dir", dir}},
		"redis": {[]string{"--store.redis.url", "redis://" + redis.Addr(), "--store.redis.prefix", "shop:"}, []string{"--redis.url", "redis://" + redis.Addr(), "--prefix", "shop:"}},
	} {
		t.Run(name, func(t *testing.T) {
			origin, calls := counted(t)
			d := serveInBackground(t, append(source.serve, "--origin", origin)...)
			ask(t, d.url, 3)
			for n := 0; n < 3; { // until all are written, behind the answers
				_, out, _ := corral(t, "store", "ls", "--admin", d.admin)
				n = strings.Count(out, "GET http://shop.test/p/")
			}
			look := func(from []string) {
				t.Helper()
				for _, row := range []struct {
					args []string
					code int
					want []string
				}{
					{[]string{"stat"}, 0, []string{"store     " + name, "bytes     "}},
					{[]string{"stat", "--json"}, 0, []string{`{"kind":"` + name + `"`}},
					{[]string{"ls"}, 0, []string{"FRESH FOR", "  GET http://shop.test/p/0\n", "3 keys, "}},
					{[]string{"ls", "--limit", "2"}, 0, []string{"2 keys, ", "there are more"}},
					{[]string{"ls", "GET http://shop.test/p/2"}, 0, []string{"1 keys, "}},
					{[]string{"ls", "--json"}, 0, []string{`"key":"GET http://shop.test/p/1"`, `{"end":{"entries":3,`}},
					{[]string{"get", "http://shop.test/p/1"}, 0, []string{"key        GET http://shop.test/p/1\n", "HTTP 200 OK\n", "X-Of: /p/1\n", "\n\nthe page /p/1\n"}},
					{[]string{"get", "GET http://shop.test/p/1", "--json"}, 0, []string{`"status":200`, `"content":"dGhlIHBhZ2UgL3AvMQo="`}},
					{[]string{"get", "GET http://shop.test/none"}, 1, []string{"nothing under"}},
					{[]string{"verify"}, 0, []string{"3 values with ", " 0 were broken"}},
					{[]string{"rm"}, 2, []string{"<key>"}},
				} {
					code, out, errs := corral(t, append(append([]string{"store"}, row.args...), from...)...)
					for _, want := range row.want {
						if code != row.code || !strings.Contains(out+errs, want) {
							t.Errorf("store %v %v: exit code %d, %s%s; want %d and %q", row.args, from, code, out, errs, row.code, want)
						}
					}
				}
				if _, out, _ := corral(t, append([]string{"store", "get", "--content", "http://shop.test/p/2"}, from...)...); out != "the page /p/2\n" {
					t.Errorf("store get --content: %q", out)
				}
			}
			near := []string{"--admin", d.admin}
			look(near)
			if code, out, errs := corral(t, append([]string{"store", "rm", "http://shop.test/p/0", "GET http://shop.test/p/1"}, near...)...); code != 0 || !strings.Contains(out, "purged 2") {
				t.Errorf("store rm: %d, %s%s", code, out, errs)
			}
			calls.Store(0)
			if found := ask(t, d.url, 3); calls.Load() != 2 || found != 0 {
				t.Errorf("after store rm the origin was asked %d times, want twice: memory forgets as well", calls.Load())
			}
			d.end(t)
			look(source.open)
			if code, out, errs := corral(t, append([]string{"store", "rm", "http://shop.test/p/0", "GET http://shop.test/none"}, source.open...)...); code != 0 || !strings.Contains(out, "removed 1 of 2") {
				t.Errorf("store rm: %d, %s%s", code, out, errs)
			}
			if _, out, _ := corral(t, append([]string{"store", "ls"}, source.open...)...); !strings.Contains(out, "2 keys, ") {
				t.Errorf("store ls after rm: %s", out)
			}
		})
	}
}

func TestAStoreThatIsNotThereIsNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--dir", dir}, "there is no store in it"},
		{[]string{"--dir", dir, "--redis.url", "redis://127.0.0.1:1"}, "leave one out"},
		{[]string{"--redis.url", "redis://127.0.0.1:1"}, "127.0.0.1:1"},
		{[]string{"--admin", "http://127.0.0.1:1"}, "ask http://127.0.0.1:1/store/stat"},
	} {
		if code, out, errs := corral(t, append([]string{"store", "stat"}, row.args...)...); code != exitFailed || !strings.Contains(errs, row.want) {
			t.Errorf("store stat %v: %d, %s%s; want %s", row.args, code, out, errs, row.want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("to look has made a directory")
	}
	origin, _ := counted(t)
	d := serveInBackground(t, "--origin", origin)
	if code, _, errs := corral(t, "store", "ls", "--admin", d.admin); code != exitFailed || !strings.Contains(errs, "404 Not Found: this process has no store") {
		t.Errorf("store ls of a serve without one: %d, %s", code, errs)
	}
	d.end(t)
}
