package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
)

// reloading is a whole daemon whose settings can be changed and loaded anew.
type reloading struct {
	*running
	site *Site
	next Config // what the next reload gives
}

func startReloading(t *testing.T, c Config) *reloading {
	t.Helper()
	set(t, &c, "listen", "127.0.0.1:0")
	set(t, &c, "admin.listen", "127.0.0.1:0")
	site, err := NewHandler(c, slog.New(slog.DiscardHandler), Tiers{})
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{site: site}
	r.running = startWith(t, c, Options{Handler: site, Level: new(slog.LevelVar), Load: func() (Config, error) { return r.next, nil }})
	r.next = *r.config.Load()
	return r
}

// addPool adds a pool to a Config.
func addPool(t *testing.T, c *Config, name, servers string) *Pool {
	t.Helper()
	p := NewPool(name)
	if err := p.Servers.UnmarshalText([]byte(servers)); err != nil {
		t.Fatal(err)
	}
	c.Origins = append(slices.Clone(c.Origins), p)
	return &c.Origins[len(c.Origins)-1]
}

func addRule(t *testing.T, c *Config, fields ...string) {
	t.Helper()
	var r Rule
	for i := 0; i < len(fields); i += 2 {
		at := slices.IndexFunc(r.Settings(), func(s Setting) bool { return s.Name == fields[i] })
		if at < 0 {
			t.Fatalf("no field %s", fields[i])
		}
		if problem := r.Settings()[at].Set(fields[i+1]); problem != nil {
			t.Fatal(problem)
		}
	}
	c.Rules = append(slices.Clone(c.Rules), r)
}

// named is an origin that says its name and that what it says may be kept.
func named(t *testing.T, name string) string {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, name+" "+r.URL.Path)
	}))
	t.Cleanup(origin.Close)
	return origin.URL
}

func TestRulesSendRequestsToTheirOrigins(t *testing.T) {
	c := Defaults()
	addPool(t, &c, "default", named(t, "default"))
	addPool(t, &c, "shop", named(t, "shop")+"/base")
	addRule(t, &c, "path", "/shop/*", "origin", "shop")
	addRule(t, &c, "path", "/one/*", "origin", named(t, "one")+"/sub")
	s := startReloading(t, c)
	for path, want := range map[string]string{"/": "default /", "/shop/a": "shop /base/shop/a", "/one/a": "one /sub/one/a"} {
		if code, body := get(t, client(t, false), s.URL()+path); code != 200 || body != want {
			t.Errorf("GET %s = %d %q, want %q", path, code, body, want)
		}
	}
}

func TestAnUpgradePassesThroughAPool(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(conn, "you said "+line)
	}))
	defer origin.Close()
	c := Defaults()
	addPool(t, &c, "default", origin.URL)
	s := startReloading(t, c)
	conn, err := net.Dial("tcp", s.frontOn.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
	from := bufio.NewReader(conn)
	response, err := http.ReadResponse(from, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("answer = %v, %v; want 101", response, err)
	}
	fmt.Fprint(conn, "hello\n")
	if said, err := io.ReadAll(from); string(said) != "you said hello\n" || err != nil {
		t.Errorf("then %q, %v; want what was said", said, err)
	}
}

func TestServersOfAPoolProveWhoTheyAre(t *testing.T) {
	a := newAuthority(t)
	cert, key, _ := a.issue(t, "origin", "origin.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	origin.EnableHTTP2 = true
	origin.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	origin.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	origin.StartTLS()
	defer origin.Close()
	for _, test := range []struct {
		ca, name string
		code     int
		body     string
	}{{a.path("ca"), "origin.example", 200, "hello by HTTP/2.0\n"}, {a.path("ca"), "other.example", 502, ""}, {"", "origin.example", 502, ""}} {
		c := Defaults()
		addPool(t, &c, "default", origin.URL).TLS = PoolTLS{CA: test.ca, ServerName: test.name}
		s := startReloading(t, c)
		if code, body := get(t, client(t, false), s.URL()); code != test.code || test.body != "" && body != test.body {
			t.Errorf("ca %q, server-name %s: %d %q, want %d %q", test.ca, test.name, code, body, test.code, test.body)
		}
	}
}

func TestTheOnlyPoolIsTheDefaultOneWhateverItsName(t *testing.T) {
	c := Defaults()
	addPool(t, &c, "shop", named(t, "shop"))
	s := startReloading(t, c)
	if code, body := get(t, client(t, false), s.URL()+"/a"); code != 200 || body != "shop /a" {
		t.Errorf("GET /a = %d %q, want it from the only pool", code, body)
	}
}

func TestAReloadPutsEverythingInForceAndLosesNothing(t *testing.T) {
	c := Defaults()
	addPool(t, &c, "default", named(t, "before"))
	addPool(t, &c, "same", named(t, "same"))
	s := startReloading(t, c)
	client := client(t, false)
	if _, body := get(t, client, s.URL()+"/kept"); body != "before /kept" {
		t.Fatalf("body = %q", body)
	}
	kept := s.site.origins["same"]

	s.next.Origins = nil
	addPool(t, &s.next, "default", named(t, "after"))
	s.next.Origins = append(s.next.Origins, c.Origins[1])
	addRule(t, &s.next, "path", "/shop/*", "origin", "same")
	set(t, &s.next, "log.level", "debug")
	set(t, &s.next, "shutdown-timeout", "7s")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/kept": "before /kept", "/new": "after /new", "/shop/a": "same /shop/a"} {
		if _, body := get(t, client, s.URL()+path); body != want {
			t.Errorf("GET %s = %q, want %q", path, body, want)
		}
	}
	if s.site.origins["same"] != kept {
		t.Error("the pool whose settings are the same was opened anew")
	}
	if s.level.Level() != slog.LevelDebug || s.config.Load().ShutdownTimeout.String() != "7s" {
		t.Errorf("level %v, shutdown-timeout %v", s.level.Level(), s.config.Load().ShutdownTimeout)
	}
	if len(s.site.retired) != 1 {
		t.Errorf("%d backends wait to be closed, want the one that is not in force any more", len(s.site.retired))
	}
}

func TestAReloadOfSomethingWrongChangesNothing(t *testing.T) {
	c := Defaults()
	addPool(t, &c, "default", named(t, "before"))
	s := startReloading(t, c)
	inForce := *s.config.Load()
	origins := s.site.origins
	for name, test := range map[string]struct {
		change func(c *Config)
		want   []string
	}{
		"settings that need a restart": {func(c *Config) {
			set(t, c, "max-bytes", "1GiB")
			set(t, c, "listen", ":1")
			set(t, c, "pass-ttl", "1s")
		}, []string{`max-bytes is "1GiB": it is "256MiB" since the start and needs a restart to change`, `listen is ":1": `}},
		"a longer load-timeout": {func(c *Config) { set(t, c, "load-timeout", "31s") }, []string{`load-timeout is "31s": while the cache runs it cannot become longer than 30s`}},
		"one of a rule":         {func(c *Config) { addRule(t, c, "load-timeout", "31s") }, []string{`rules[0].load-timeout is "31s": `}},
		"a rule":                {func(c *Config) { addRule(t, c, "path", "a") }, []string{`rules[0].path is "a": `}},
		"a pool beside another": {func(c *Config) {
			addPool(t, c, "good", "http://127.0.0.1:1")
			addPool(t, c, "bad", "http://127.0.0.1:1").TLS.CA = "/nonexistent"
		}, []string{`origins.bad.tls.ca is "/nonexistent": `}},
		"a token": {func(c *Config) { set(t, c, "admin.token-file", "/nonexistent") }, []string{`admin.token-file is "/nonexistent": `}},
	} {
		s.next = inForce
		test.change(&s.next)
		err := s.Reload()
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
		if strings.Contains(fmt.Sprint(err), "pass-ttl") {
			t.Errorf("%s: %v, which names what can change", name, err)
		}
		if s.config.Load().PassTTL != inForce.PassTTL || len(s.config.Load().Rules) > 0 || fmt.Sprint(s.site.origins) != fmt.Sprint(origins) || len(s.site.retired) > 0 {
			t.Errorf("%s: something of it is in force", name)
		}
	}
	broken := errors.New("broken")
	s.load = func() (Config, error) { return Config{}, broken }
	if err := s.Reload(); !errors.Is(err, broken) {
		t.Errorf("Reload = %v, want what Load said", err)
	}
	if code, _ := get(t, client(t, false), s.URL()); code != 200 {
		t.Errorf("after that: %d, want 200", code)
	}
	s.load = nil
	if err := s.Reload(); err == nil {
		t.Error("Reload = nil without Options.Load")
	}
}

func TestReloadAnswersWithWhatIsWrong(t *testing.T) {
	c := Defaults()
	addPool(t, &c, "default", named(t, "before"))
	s := startReloading(t, c)
	if status, body := send(t, client(t, false), "POST", s.AdminURL()+"/reload", ""); status != 200 || body != `{"reloaded":true}`+"\n" {
		t.Errorf("POST /reload = %d %s", status, body)
	}
	s.next.From = map[string]string{"max-bytes": "corral.yaml:3", "max-loads": "corral.yaml:4"}
	set(t, &s.next, "max-bytes", "1GiB")
	set(t, &s.next, "max-loads", "1")
	status, body := send(t, client(t, false), "POST", s.AdminURL()+"/reload", "")
	if want := `{"error":["corral.yaml:3: max-bytes is \"1GiB\": `; status != 422 || !strings.HasPrefix(body, want) || !strings.Contains(body, `","corral.yaml:4: max-loads is`) {
		t.Errorf("POST /reload = %d %s, want 422 %s", status, body, want)
	}
}

func TestAReloadReadsCertificatesAndTheToken(t *testing.T) {
	a := newAuthority(t)
	cert, key, first := a.issue(t, "a", "a.example")
	token := tokenFile(t, "0123456789abcdef")
	c := valid(t)
	for name, value := range map[string]string{"tls.listen": "127.0.0.1:0", "tls.cert": cert, "tls.key": key, "tls.reload-interval": "1h", "admin.token-file": token} {
		set(t, &c, name, value)
	}
	s := startReloading(t, c)
	if got := shownTo(t, s.running, a.trusting("a.example")); got != first {
		t.Errorf("certificate %d, want %d", got, first)
	}
	_, _, renewed := a.issue(t, "a", "a.example")
	set(t, &s.next, "admin.token-file", tokenFile(t, "fedcba9876543210"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := shownTo(t, s.running, a.trusting("a.example")); got != renewed {
		t.Errorf("certificate %d after a reload, want %d", got, renewed)
	}
	for given, want := range map[string]int{"0123456789abcdef": 401, "fedcba9876543210": 200} {
		if status, _ := send(t, client(t, false), "POST", s.AdminURL()+"/reload", "", "Authorization", "Bearer "+given); status != want {
			t.Errorf("token %s after a reload: %d, want %d", given, status, want)
		}
	}
}

func TestWhatIsNotInForceAnyMoreIsClosedAfterTheLongestLoad(t *testing.T) {
	c := Defaults()
	set(t, &c, "load-timeout", "1ns")
	set(t, &c, "origin.connect-timeout", "1ns")
	addPool(t, &c, "default", named(t, "before"))
	s := startReloading(t, c)
	old := s.site.origins["default"]
	s.next.Origins = nil
	addPool(t, &s.next, "default", named(t, "after"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		s.site.mu.Lock()
		defer s.site.mu.Unlock()
		return len(s.site.retired) == 0
	})
	request, _ := http.NewRequest("GET", "http://a.example/", nil)
	if _, err := old.RoundTrip(request); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the pool that is not in force any more: %v, want it closed", err)
	}
}

// watching counts the pools whose servers are asked how they are.
func watching(t *testing.T) int {
	t.Helper()
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	return strings.Count(stacks.String(), "upstream.(*Pool).watch(")
}

func TestNoPoolStaysOpenForNothing(t *testing.T) {
	before := watching(t)
	c := Defaults()
	addPool(t, &c, "default", named(t, "default")).Health.Path = "/"
	s := startReloading(t, c)
	waitFor(t, func() bool { return watching(t)-before == 1 })

	addPool(t, &s.next, "good", named(t, "good")).Health.Path = "/"
	addPool(t, &s.next, "bad", named(t, "bad")).TLS.CA = "/nonexistent"
	if err := s.site.Reload(s.next); err == nil {
		t.Error("Reload = nil with a pool that is of no use")
	}
	if open := watching(t) - before; open != 1 {
		t.Errorf("%d pools are open after a pool that is of no use, want 1", open)
	}

	s.next.Origins = s.next.Origins[:2]
	set(t, &s.next, "max-loads", "1")
	if err := s.site.Reload(s.next); err == nil {
		t.Error("Reload = nil with what the cache cannot change")
	}
	if open := watching(t) - before; open != 1 {
		t.Errorf("%d pools are open after a reload that the cache refused, want 1", open)
	}

	set(t, &s.next, "max-loads", "256")
	s.next.Origins = s.next.Origins[1:2]
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return watching(t)-before == 2 }) // the one before may still be used
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	s.next.Origins = nil
	addPool(t, &s.next, "late", named(t, "late")).Health.Path = "/"
	if err := s.Reload(); err == nil {
		t.Error("Reload = nil after the end")
	}
	if open := watching(t) - before; open != 0 {
		t.Errorf("%d pools are open after the end, want none", open)
	}
}

func TestAPoolIsOpenedAnewWhenAFileOfItsChanged(t *testing.T) {
	a := newAuthority(t)
	c := Defaults()
	addPool(t, &c, "default", "https://127.0.0.1:1").TLS.CA = a.path("ca")
	s := startReloading(t, c)
	for _, test := range []struct {
		change func()
		same   bool
	}{
		{func() {}, true},
		{func() { writePEM(t, a.path("ca"), "CERTIFICATE", newAuthority(t).cert.Raw) }, false},
		{func() { set(t, &s.next, "origin.idle-timeout", "1s") }, false},
		{func() { set(t, &s.next, "pass-ttl", "1s") }, true},
	} {
		before := s.site.origins["default"]
		test.change()
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if same := s.site.origins["default"] == before; same != test.same {
			t.Errorf("the pool is the same: %v, want %v", same, test.same)
		}
	}
}

func TestAPoolThatTookTooLongIsBlamed(t *testing.T) {
	done := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	defer origin.Close()
	defer close(done)
	c := Defaults()
	set(t, &c, "load-timeout", "50ms")
	set(t, &c, "origin.connect-timeout", "50ms")
	addPool(t, &c, "default", origin.URL)
	s := startReloading(t, c)
	if code, _ := get(t, client(t, false), s.URL()); code != 504 {
		t.Errorf("a request that takes too long = %d, want 504", code)
	}
	waitFor(t, func() bool { return s.site.origins["default"].pool.Stats().Servers[0].Failures > 0 })
}
