package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral/httpcache"
)

// stub is a Handler that is a function.
type stub struct {
	http.HandlerFunc
	shutdown func(context.Context) error
	purge    func(httpcache.Purge) error
	reload   func(Config) error
}

func (s stub) Purge(_ context.Context, what httpcache.Purge) error {
	if s.purge == nil {
		return nil
	}
	return s.purge(what)
}

func (s stub) Reload(config Config) error {
	if s.reload == nil {
		return nil
	}
	return s.reload(config)
}

func (s stub) Shutdown(ctx context.Context) error {
	if s.shutdown == nil {
		return nil
	}
	return s.shutdown(ctx)
}

// A running is a Server that runs until the test ends.
type running struct {
	*Server
	stop, abort context.CancelFunc
	done        chan error // receives what Run returned
	log         *logBuffer // the access log
}

// logBuffer is a writer that may be read at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
}

func start(t *testing.T, handler Handler, settings ...string) *running {
	t.Helper()
	c := valid(t)
	set(t, &c, "listen", "127.0.0.1:0")
	set(t, &c, "admin.listen", "127.0.0.1:0")
	for i := 0; i < len(settings); i += 2 {
		set(t, &c, settings[i], settings[i+1])
	}
	return startWith(t, c, Options{Handler: handler})
}

func startWith(t *testing.T, c Config, options Options) *running {
	t.Helper()
	log := &logBuffer{}
	options.AccessLog, options.Version = log, "v0"
	s, err := New(c, options)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	stopping, stop := context.WithCancel(context.Background())
	aborting, abort := context.WithCancel(context.Background())
	r := &running{Server: s, stop: stop, abort: abort, done: make(chan error, 1), log: log}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- s.Run(stopping, aborting)
	}()
	t.Cleanup(func() {
		stop()
		abort()
		<-ended
	})
	waitFor(t, func() bool { return state(s.state.Load()) == ready })
	return r
}

// client makes requests over connections of its own, by HTTP/2 or HTTP/1.1.
func client(t *testing.T, h2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(h2)
	protocols.SetHTTP1(!h2)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello by %s\n", r.Proto)
}

func TestTheFrontSpeaksBothVersionsOfHTTP(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello})
	for h2, want := range map[bool]string{false: "hello by HTTP/1.1\n", true: "hello by HTTP/2.0\n"} {
		if code, body := get(t, client(t, h2), s.URL()); code != 200 || body != want {
			t.Errorf("h2 %v: %d %q, want 200 %q", h2, code, body, want)
		}
	}
}

func TestNewOpensBothListenersOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := other.Addr().String()
	other.Close()

	c := valid(t)
	set(t, &c, "listen", free)
	set(t, &c, "admin.listen", taken.Addr().String())
	_, err = New(c, Options{Handler: stub{HandlerFunc: hello}})
	want := fmt.Sprintf("admin.listen is %q: the port is in use", taken.Addr())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("New with a port in use: %v, want %s…", err, want)
	}
	again, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatalf("the other listener stayed open: %v", err)
	}
	again.Close()
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	c := Defaults()
	set(t, &c, "max-loads", "0")
	_, err := New(c, Options{Handler: stub{HandlerFunc: hello}})
	if err == nil || !strings.Contains(err.Error(), "origin is not set") || !strings.Contains(err.Error(), `max-loads is "0"`) {
		t.Errorf("New = %v, want both problems", err)
	}
	var problem *Problem
	if !errors.As(err, &problem) {
		t.Errorf("New = %v, want it to hold a *Problem", err)
	}
	if address := unknownAddress; address != "" {
		c := valid(t)
		set(t, &c, "listen", address)
		_, err := New(c, Options{Handler: stub{HandlerFunc: hello}})
		if err == nil || !strings.Contains(err.Error(), "this machine does not have that address") {
			t.Errorf("New on %s = %v", address, err)
		}
	}
}

// unknownAddress is of the block for documentation, RFC 5737.
const unknownAddress = "192.0.2.1:8080"

func TestReadyzFollowsTheLifeOfTheServer(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-finish
		fmt.Fprint(w, "whole")
	}})
	admin := client(t, false)
	if code, body := get(t, admin, s.AdminURL()+"/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("/readyz = %d %q, want 200 ready", code, body)
	}

	answer := make(chan string, 1)
	go func() {
		_, body := get(t, client(t, false), s.URL())
		answer <- body
	}()
	<-entered
	s.stop()
	waitFor(t, func() bool { return state(s.state.Load()) == draining })
	if code, body := get(t, admin, s.AdminURL()+"/readyz"); code != 503 || body != "draining\n" {
		t.Errorf("/readyz while a request drains = %d %q, want 503 draining", code, body)
	}
	if code, _ := get(t, admin, s.AdminURL()+"/healthz"); code != 200 {
		t.Errorf("/healthz while draining = %d, want 200", code)
	}
	close(finish)
	if body := <-answer; body != "whole" {
		t.Errorf("the request that ran at the stop got %q, want whole", body)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Run = %v after every request finished, want nil", err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.AdminURL(), "http://")); err == nil {
		t.Error("the admin listener is still open after Run")
	}
}

// waitFor yields until something that another goroutine does has happened.
func waitFor(t *testing.T, happened func() bool) {
	t.Helper()
	for !happened() {
		if t.Context().Err() != nil {
			t.Fatal("it did not happen")
		}
		runtime.Gosched()
	}
}

func TestBothVersionsFinishWhatRunsAndAcceptNothingNew(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		entered, finish := make(chan struct{}), make(chan struct{})
		s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "first ")
			http.NewResponseController(w).Flush()
			close(entered)
			<-finish
			fmt.Fprint(w, "last")
		}})
		answer := make(chan string, 1)
		go func() {
			_, body := get(t, client(t, h2), s.URL())
			answer <- body
		}()
		<-entered
		s.stop()
		waitFor(t, func() bool {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		close(finish)
		if body := <-answer; body != "first last" {
			t.Errorf("h2 %v: body = %q, want the whole answer", h2, body)
		}
		if err := <-s.done; err != nil {
			t.Errorf("h2 %v: Run = %v, want nil", h2, err)
		}
	}
}

func TestASecondSignalCutsOffWhatRuns(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}}, "shutdown-timeout", "1h")
	failed := make(chan error, 1)
	go func() {
		_, err := client(t, false).Get(s.URL())
		failed <- err
	}()
	<-entered
	s.stop()
	s.abort()
	if err := <-s.done; !errors.Is(err, ErrCutOff) {
		t.Errorf("Run = %v, want ErrCutOff", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request that was cut off got an answer")
	}
}

func TestTheShutdownTimeoutCutsOffWhatRuns(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}}, "shutdown-timeout", "1ns")
	c := client(t, false)
	go c.Get(s.URL())
	<-entered
	s.stop()
	if err := <-s.done; !errors.Is(err, ErrCutOff) {
		t.Errorf("Run = %v, want ErrCutOff", err)
	}
}

func TestRequestsAreAcceptedDuringTheShutdownDelay(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello}, "shutdown-delay", "1h")
	s.stop()
	waitFor(t, func() bool { return state(s.state.Load()) == draining })
	if code, _ := get(t, client(t, false), s.URL()); code != 200 {
		t.Errorf("a request during the delay = %d, want 200", code)
	}
	s.abort()
	if err := <-s.done; err != nil {
		t.Errorf("Run = %v with nothing running, want nil", err)
	}
}

func TestTheHandlerIsShutDownAfterTheLastRequest(t *testing.T) {
	broken := errors.New("broken")
	var s *running
	s = start(t, stub{HandlerFunc: hello, shutdown: func(context.Context) error {
		if _, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://")); err == nil {
			t.Error("the front still accepts while the handler shuts down")
		}
		return broken
	}})
	s.stop()
	if err := <-s.done; !errors.Is(err, broken) {
		t.Errorf("Run = %v, want the handler's error", err)
	}
}

func TestAListenerThatFailsEndsTheServer(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello})
	waitFor(t, func() bool { return state(s.state.Load()) == ready })
	s.frontOn.Close()
	if err := <-s.done; err == nil || !strings.Contains(err.Error(), "server: listen 127.0.0.1:") {
		t.Errorf("Run = %v, want the listener's failure", err)
	}
}

func TestConnectionsBeyondMaxConnsWaitToBeAccepted(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello}, "max-conns", "1")
	first := client(t, false)
	get(t, first, s.URL()) // keeps its connection
	second := make(chan string, 1)
	go func() {
		_, body := get(t, client(t, false), s.URL())
		second <- body
	}()
	get(t, first, s.URL())
	if open := s.conns.open.Load(); open != 1 {
		t.Errorf("%d connections are open, want 1", open)
	}
	first.CloseIdleConnections()
	if body := <-second; body == "" {
		t.Error("the second connection got no answer when the first had closed")
	}
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello}, "max-header-bytes", "4KiB")
	request, _ := http.NewRequest("GET", s.URL(), nil)
	request.Header.Set("Cookie", strings.Repeat("a", 16<<10))
	response, err := client(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status = %d, want 431", response.StatusCode)
	}
}

func TestMetricsTellWhatTheServerDid(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello})
	c := client(t, false)
	for range 3 {
		get(t, c, s.URL())
	}
	waitFor(t, func() bool { return len(s.log.lines()) == 3 })
	code, body := get(t, client(t, false), s.AdminURL()+"/metrics")
	for _, want := range []string{
		`corral_http_requests_total{code="200",result="none"} 3`,
		`corral_http_response_bytes_total 54`,
		`corral_http_request_duration_seconds_count 3`,
		`corral_http_requests_in_flight 0`,
		`corral_http_connections 1`,
		`corral_access_log_dropped_total 0`,
		`corral_ready 1`,
		`version="v0"`,
		`go_goroutines `,
		`go_cpu_classes_gc_total_cpu_seconds_total `,
		`process_resident_memory_bytes `,
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("/metrics = %d, lacks %s", code, want)
		}
	}
}

func TestTheAdminListenerAnswersOnlyToALoopbackHost(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello})
	for host, want := range map[string]int{"": 200, "localhost": 200, "localhost:9090": 200, "[::1]:9090": 200, "127.0.0.1": 200, "evil.example": 421, "evil.example:9090": 421, "10.0.0.1": 421} {
		request, _ := http.NewRequest("GET", s.AdminURL()+"/debug/pprof/cmdline", nil)
		request.Host = host
		response, err := client(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", host, response.StatusCode, want)
		}
	}
}

func TestAPublicAdminListenerHasNoProfiles(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello}, "admin.listen", ":0", "admin.insecure-public", "on")
	if !strings.HasPrefix(s.AdminURL(), "http://localhost:") {
		t.Errorf("AdminURL() = %s, want it under localhost", s.AdminURL())
	}
	c := client(t, false)
	if code, _ := get(t, c, s.AdminURL()+"/debug/pprof/"); code != 403 {
		t.Errorf("/debug/pprof/ = %d, want 403", code)
	}
	if code, _ := get(t, c, s.AdminURL()+"/healthz"); code != 200 {
		t.Errorf("/healthz = %d, want 200", code)
	}
}

func TestEachRequestHasALine(t *testing.T) {
	s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			fmt.Fprint(w, "begun")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
		case "/empty":
		default:
			hello(w, r)
		}
	}})
	for _, test := range []struct {
		method, path, id string
		want             map[string]any
	}{
		{"GET", "/a%2Fb?secret=1", "call-7", map[string]any{"method": "GET", "path": "/a%2Fb", "status": 200., "bytes": 18., "id": "call-7", "proto": "HTTP/1.1", "client": "127.0.0.1"}},
		{"HEAD", "/", "", map[string]any{"method": "HEAD", "status": 200.}},
		{"GET", "/empty", "", map[string]any{"status": 200., "bytes": 0., "cache": nil, "origin_ms": nil}},
		{"GET", "/early", "", map[string]any{"status": 404., "bytes": 0.}},
		{"GET", "/abort", "", map[string]any{"status": 200., "bytes": 5., "aborted": true}},
		{"GET", "/" + strings.Repeat("x", 2000), "", map[string]any{"path": "/" + strings.Repeat("x", maxLogged-1) + "…"}},
	} {
		before := len(s.log.lines())
		if before == 1 && s.log.lines()[0] == "" {
			before = 0
		}
		request, _ := http.NewRequest(test.method, s.URL()+test.path, nil)
		request.Header.Set("X-Request-Id", test.id)
		response, err := client(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		waitFor(t, func() bool { l := s.log.lines(); return len(l) > before && l[0] != "" })
		var line map[string]any
		if err := json.Unmarshal([]byte(s.log.lines()[before]), &line); err != nil {
			t.Fatal(err)
		}
		for name, want := range test.want {
			if line[name] != want {
				t.Errorf("%s %s: %s is %v, want %v", test.method, test.path, name, line[name], want)
			}
		}
		if line["msg"] != "request" || line["host"] != strings.TrimPrefix(s.URL(), "http://") || line["duration_ms"].(float64) < 0 {
			t.Errorf("%s %s: line %v", test.method, test.path, line)
		}
		if id := response.Header.Get("X-Request-Id"); test.path != "/empty" && id != line["id"] {
			t.Errorf("%s %s: X-Request-Id %q, in the log %q", test.method, test.path, id, line["id"])
		}
	}
}

func TestTheAccessLogCanBeOff(t *testing.T) {
	s := start(t, stub{HandlerFunc: hello}, "access-log", "off")
	get(t, client(t, false), s.URL())
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	if lines := s.log.lines(); lines[0] != "" {
		t.Errorf("the log that is off has %q", lines)
	}
}

func TestRequestNamesThatAreNotModestAreReplaced(t *testing.T) {
	for id, keep := range map[string]bool{"a": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "": false, "a b": false, "a\x7fb": false, "é": false} {
		r := &http.Request{Header: http.Header{"X-Request-Id": {id}}}
		if got := idOf(r); (got == id) != keep || got == "" {
			t.Errorf("idOf(%q) = %q, want it kept: %v", id, got, keep)
		}
	}
}

func TestAnUpgradedConnectionIsLogged(t *testing.T) {
	s := start(t, stub{HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		conn.Close()
	}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
	if all, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 101 ") {
		t.Fatalf("answer = %q, %v", all, err)
	}
	waitFor(t, func() bool { return strings.Contains(s.log.lines()[0], `"status":101`) })
}

func TestTheOutcomeIsReadFromCacheStatusAndNotFromWhatAClientSent(t *testing.T) {
	for status, want := range map[string]string{
		"":                                       "none",
		"corral":                                 "none",
		"corral;hit;ttl=59":                      "hit",
		"corral; hit; ttl=-1":                    "hit",
		"corral;fwd=uri-miss;stored":             "uri-miss",
		"corral;fwd=uri-miss;collapsed":          "collapsed",
		"corral;fwd=stale;fwd-status=304":        "stale",
		"corral;fwd=news":                        "none",
		`corral;fwd=bypass;key="/a;hit;b"`:       "bypass",
		`corral;fwd=method;detail="a;collapsed"`: "method",
	} {
		if got := outcome(status); got != want {
			t.Errorf("outcome(%s) = %s, want %s", status, got, want)
		}
	}
}
