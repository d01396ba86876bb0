package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// upstream stands for the three services and counts their calls.
type upstream struct {
	mu    sync.Mutex
	calls map[string]int
	fail  map[string]int // status instead of an answer, by path
	enter func(path string)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.calls[r.URL.Path]++
	code := u.fail[r.URL.Path]
	u.mu.Unlock()
	if u.enter != nil {
		u.enter(r.URL.Path)
	}
	if code != 0 {
		w.WriteHeader(code)
		return
	}
	fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
}

func (u *upstream) count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[path]
}

func newTest(t *testing.T, u *upstream) string {
	t.Helper()
	u.calls = map[string]int{}
	services := httptest.NewServer(u)
	t.Cleanup(services.Close)
	p, err := newPages(services.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cache.Close() })
	server := httptest.NewServer(p.handler())
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(body)
}

func TestManyCallersOfAPageAskEachServiceOnce(t *testing.T) {
	release := make(chan struct{})
	u := &upstream{enter: func(string) { <-release }}
	url := newTest(t, u)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			code, body := get(t, url+"/pages/42")
			want := `{"products":{"path":"/products/42"},"reviews":{"path":"/reviews/42"},"stock":{"path":"/stock/42"}}` + "\n"
			if code != 200 || body != want {
				t.Errorf("GET /pages/42 = %d %s, want %s", code, body, want)
			}
		})
	}
	close(release)
	callers.Wait()
	for _, part := range parts {
		if n := u.count("/" + part.name + "/42"); n != 1 {
			t.Errorf("%s was asked %d times, want 1", part.name, n)
		}
	}
}

func TestAChangeForgetsThePageAndItsParts(t *testing.T) {
	u := &upstream{}
	url := newTest(t, u)
	get(t, url+"/pages/42")
	get(t, url+"/pages/7")
	response, err := http.Post(url+"/changed/42", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	get(t, url+"/pages/42")
	get(t, url+"/pages/7")
	if response.StatusCode != 204 || u.count("/stock/42") != 2 || u.count("/products/42") != 2 || u.count("/stock/7") != 1 {
		t.Errorf("after POST /changed/42 = %d, calls are %v; want 2 for each part of 42 and 1 for 7", response.StatusCode, u.calls)
	}
}

func TestAPageIsServedWithoutItsOptionalPartOnly(t *testing.T) {
	u := &upstream{fail: map[string]int{"/reviews/1": 500, "/stock/2": 500, "/products/3": 404}}
	url := newTest(t, u)
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/pages/1": {200, `"reviews":null`},
		"/pages/2": {502, "stock/2: 500"},
		"/pages/3": {404, "not found"},
	} {
		if code, body := get(t, url+path); code != want.code || !strings.Contains(body, want.body) {
			t.Errorf("GET %s = %d %s, want %d %s", path, code, body, want.code, want.body)
		}
	}
}

func TestRunServesWithItsOwnServices(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-listen", "127.0.0.1:0"}, in, io.Discard) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "aggregate: try curl ")
	if err != nil || !found {
		t.Fatalf("first line = %q, %v", line, err)
	}
	if code, body := get(t, url); code != 200 || !strings.Contains(body, "Enamel mug no. 42") {
		t.Errorf("GET %s = %d %s", url, code, body)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}
