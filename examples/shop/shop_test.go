package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newShop starts a shop with few orders, so that its queries are fast.
func newShop(t *testing.T) (*shop, *httptest.Server) {
	t.Helper()
	db, err := openDB(t.Context(), filepath.Join(t.TempDir(), "shop.db"), 5000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &shop{db: db, slots: make(chan struct{}, 1), queueTimeout: time.Minute, lineEvery: time.Millisecond, log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	return s, server
}

func do(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestAPriceIsChangedAndShownAtOnce(t *testing.T) {
	_, server := newShop(t)
	for _, test := range []struct {
		path, price string
		status      int
	}{
		{"/products/42/price", "123", 204},
		{"/products/42/price", "-1", 400}, {"/products/42/price", "", 400}, {"/products/42/price", "a mug", 400}, {"/products/42/price", strings.Repeat("1", 21), 400},
		{"/products/0/price", "123", 404}, {"/products/mug/price", "123", 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+test.path, strings.NewReader(test.price))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("PUT %s %q = %d, want %d", test.path, test.price, response.StatusCode, test.status)
		}
	}
	if _, body := do(t, "GET", server.URL+"/products/42"); !strings.Contains(body, `"price_cents":123,`) {
		t.Errorf("the product is %s, want the new price", body)
	}
}

func TestAnswersSayWhatACacheMayDo(t *testing.T) {
	_, server := newShop(t)
	for _, test := range []struct {
		method, path         string
		status               int
		cacheControl, cookie string
	}{
		{"GET", "/products/42", 200, "public, max-age=60", ""},
		{"GET", "/products/42/reviews", 200, "public, max-age=10", ""},
		{"GET", "/products/0", 404, "public, max-age=5", ""},
		{"GET", "/products/mug", 404, "public, max-age=5", ""},
		{"GET", "/cart", 200, "private", "session"},
		{"POST", "/login", 204, "no-store", "session"},
		{"GET", "/slow-stream", 200, "public, max-age=5", ""},
		{"GET", "/healthz", 200, "no-store", ""},
		{"GET", "/debug/calls", 200, "no-store", ""},
		{"DELETE", "/products/42", 405, "", ""},
	} {
		response, _ := do(t, test.method, server.URL+test.path)
		cookie := ""
		for _, c := range response.Cookies() {
			cookie += c.Name
		}
		if response.StatusCode != test.status || response.Header.Get("Cache-Control") != test.cacheControl || cookie != test.cookie {
			t.Errorf("%s %s = %d, Cache-Control %q, cookie %q; want %d, %q, %q", test.method, test.path,
				response.StatusCode, response.Header.Get("Cache-Control"), cookie, test.status, test.cacheControl, test.cookie)
		}
	}
}

func TestTheSameSeedGivesTheSameAnswer(t *testing.T) {
	_, first := newShop(t)
	_, second := newShop(t)
	_, one := do(t, "GET", first.URL+"/products/42")
	_, two := do(t, "GET", second.URL+"/products/42")
	if one != two || !strings.Contains(one, `"id":42`) {
		t.Errorf("GET /products/42 = %s and %s, want the same product 42", one, two)
	}
}

func TestADatabaseFileIsSeededOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	for range 2 {
		db, err := openDB(t.Context(), path, 10)
		if err != nil {
			t.Fatalf("openDB(%q): %v", path, err)
		}
		var rows int
		if err := db.QueryRow(`SELECT count(*) FROM orders`).Scan(&rows); err != nil || rows != 10 {
			t.Errorf("orders = %d, %v; want 10", rows, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMatchingETagGives304(t *testing.T) {
	_, server := newShop(t)
	first, _ := do(t, "GET", server.URL+"/products/7")
	etag := first.Header.Get("ETag")
	again, body := do(t, "GET", server.URL+"/products/7", "If-None-Match", etag)
	if again.StatusCode != 304 || body != "" || again.Header.Get("ETag") != etag {
		t.Errorf("with If-None-Match %s: %d, body %q, ETag %s; want 304, none, the same", etag, again.StatusCode, body, again.Header.Get("ETag"))
	}
}

func TestOneSessionKeepsItsCookie(t *testing.T) {
	_, server := newShop(t)
	response, body := do(t, "GET", server.URL+"/cart", "Cookie", "session=abc")
	if len(response.Cookies()) != 0 || !strings.Contains(body, `"session":"abc"`) {
		t.Errorf("GET /cart with a session = %s, cookies %v; want the session and no new cookie", body, response.Cookies())
	}
}

func TestTheCallLogCountsEveryCallOfAPath(t *testing.T) {
	_, server := newShop(t)
	last := ""
	for range 3 {
		response, _ := do(t, "GET", server.URL+"/products/1")
		last = response.Header.Get("X-Shop-Call")
	}
	do(t, "GET", server.URL+"/products/2")
	_, body := do(t, "GET", server.URL+"/debug/calls?path=/products/1")
	var log map[string]pathCalls
	if err := json.Unmarshal([]byte(body), &log); err != nil {
		t.Fatal(err)
	}
	calls := log["/products/1"]
	if len(log) != 1 || calls.Count != 3 || calls.Running != 0 || calls.MaxRunning != 1 || len(calls.Calls) != 3 {
		t.Fatalf("/debug/calls?path=/products/1 = %s; want three ended calls of that path only", body)
	}
	for i, c := range calls.Calls {
		if c.End == nil || c.End.Before(c.Start) || c.Number != i+1 {
			t.Errorf("call %d = %+v; want its number, and an end after its start", i, c)
		}
	}
	if last != "3" {
		t.Errorf("X-Shop-Call of the third call = %q, want 3", last)
	}
}

func TestTheCallLogIsBounded(t *testing.T) {
	var l callLog
	for range maxLoggedCalls + 1 {
		_, end := l.begin("/a")
		end()
	}
	for i := range maxLoggedPaths + 1 {
		_, end := l.begin(fmt.Sprintf("/%d", i))
		end()
	}
	all := l.snapshot("")
	if a := all["/a"]; a.Count != maxLoggedCalls+1 || len(a.Calls) != maxLoggedCalls {
		t.Errorf("/a: count %d, listed %d; want %d and %d", a.Count, len(a.Calls), maxLoggedCalls+1, maxLoggedCalls)
	}
	if rest := all["(other paths)"]; len(all) != maxLoggedPaths+1 || rest.Count != 2 {
		t.Errorf("%d paths, %d calls of the rest; want %d and 2", len(all), rest.Count, maxLoggedPaths+1)
	}
}

func TestAQueryWaitsForASlotAndThenGivesUp(t *testing.T) {
	s, server := newShop(t)
	s.slots <- struct{}{} // the one slot is taken
	s.queueTimeout = time.Nanosecond
	response, body := do(t, "GET", server.URL+"/products/1")
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("with no slot free: %d %q, %v; want 503, Retry-After 1, no-store", response.StatusCode, body, response.Header)
	}
	<-s.slots
	s.queueTimeout = time.Minute
	if response, _ := do(t, "GET", server.URL+"/products/1"); response.StatusCode != 200 {
		t.Errorf("with the slot free again: %d, want 200", response.StatusCode)
	}
}

func TestTheStreamArrivesLineByLine(t *testing.T) {
	s, server := newShop(t)
	s.lineEvery = time.Hour // the second line does not come
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/slow-stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if line != "line 1 of 10\n" || err != nil {
		t.Errorf("first line = %q, %v; want line 1 of 10 while the rest is to come", line, err)
	}
	cancel()

	s.lineEvery = time.Nanosecond
	if _, body := do(t, "GET", server.URL+"/slow-stream"); strings.Count(body, "\n") != slowStreamLines {
		t.Errorf("whole stream = %q; want %d lines", body, slowStreamLines)
	}
}

func TestRunPrintsItsAddressAndStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	path := filepath.Join(t.TempDir(), "shop.db")
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-db", path, "-orders", "10"}, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "shop: listening on ")
	if err != nil || !found {
		t.Fatalf("first line of output = %q, %v; want the address", line, err)
	}
	if response, _ := do(t, "GET", address+"/healthz"); response.StatusCode != 200 {
		t.Errorf("GET /healthz = %d, want 200", response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run = %v after its context ended, want nil", err)
	}
}

func TestRunRefusesWhatItCannotUse(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-max-queries", "0"}, "-max-queries is 0"},
		{[]string{"-db", "/nonexistent/shop.db"}, "/nonexistent/shop.db"},
		{[]string{"-db", filepath.Join(t.TempDir(), "a.db"), "-orders", "10", "-listen", "nonsense"}, "nonsense"},
		{[]string{"-colour"}, "-colour"},
	} {
		err := run(t.Context(), test.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("run(%q) = %v, want an error that names %s", test.args, err, test.want)
		}
	}
}
