package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral/httpcache"
)

// purges notes what a stub is told to purge.
type purges struct {
	mu   sync.Mutex
	seen []string
}

func (p *purges) note(what httpcache.Purge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("%+v", what))
	if what.URL == "bad" {
		return fmt.Errorf("%w: URL is bad", httpcache.ErrPurge)
	}
	if what.URL == "broken" {
		return errors.New("out of order")
	}
	return nil
}

func (p *purges) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.seen = nil }()
	return strings.Join(p.seen, " ")
}

func send(t *testing.T, c *http.Client, method, url, content string, fields ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
		if fields[i] == "Host" {
			request.Host = fields[i+1]
		}
	}
	response, err := c.Do(request)
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

func TestAPurgeIsReadExactlyOrRefusedWithAReason(t *testing.T) {
	p := new(purges)
	s := start(t, stub{HandlerFunc: hello, purge: p.note})
	c := client(t, false)
	for _, test := range []struct {
		content string
		status  int
		answer  string
		purged  string
	}{
		{`{"url":"http://a.example/b"}`, 200, `{"purged":{"url":"http://a.example/b"}}`, `{URL:http://a.example/b Prefix: Tags:[] All:false Soft:false}`},
		{`{"prefix":"http://a.example/","soft":true}`, 200, `{"purged":{"prefix":"http://a.example/","soft":true}}`, `{URL: Prefix:http://a.example/ Tags:[] All:false Soft:true}`},
		{`{"tags":["a","b"]}`, 200, `{"purged":{"tags":["a","b"]}}`, `{URL: Prefix: Tags:[a b] All:false Soft:false}`},
		{`{"all":true}`, 200, `{"purged":{"all":true}}`, `{URL: Prefix: Tags:[] All:true Soft:false}`},
		{`{"url":"bad"}`, 400, `URL is bad`, `{URL:bad Prefix: Tags:[] All:false Soft:false}`},
		{`{"url":"broken"}`, 500, `out of order`, `{URL:broken Prefix: Tags:[] All:false Soft:false}`},
		{`{"uri":"http://a.example/b"}`, 400, `unknown field \"uri\": write JSON as {\"url\":`, ""},
		{`{"url":1}`, 400, `write JSON as`, ""},
		{`{"all":true}{}`, 400, `something follows the JSON object: write JSON as`, ""},
		{`all`, 400, `write JSON as`, ""},
		{``, 400, `write JSON as`, ""},
		{`{"url":"` + strings.Repeat("a", adminMaxContent) + `"}`, 413, `longer than 64KiB`, ""},
	} {
		status, answer := send(t, c, "POST", s.AdminURL()+"/purge", test.content)
		if purged := p.take(); status != test.status || !strings.Contains(answer, test.answer) || purged != test.purged {
			t.Errorf("POST /purge %.60s: %d %s, purged %s; want %d %s, %s", test.content, status, answer, purged, test.status, test.answer, test.purged)
		}
	}
	if status, _ := send(t, c, "GET", s.AdminURL()+"/purge", ""); status != 405 {
		t.Errorf("GET /purge = %d, want 405", status)
	}
}

func TestPurgeAsAMethodNamesAnAddressUnderBothSchemes(t *testing.T) {
	p := new(purges)
	s := start(t, stub{HandlerFunc: hello, purge: p.note})
	for _, test := range []struct{ request, status, purged string }{
		{"PURGE http://a.example/b//c?d=%41 HTTP/1.1\r\nHost: a.example\r\n", "200",
			"{URL:http://a.example/b//c?d=%41 Prefix: Tags:[] All:false Soft:false} {URL:https://a.example/b//c?d=%41 Prefix: Tags:[] All:false Soft:false}"},
		{"PURGE http://a.example HTTP/1.1\r\nHost: a.example\r\nSoft-Purge: 1\r\n", "200",
			"{URL:http://a.example/ Prefix: Tags:[] All:false Soft:true} {URL:https://a.example/ Prefix: Tags:[] All:false Soft:true}"},
		{"PURGE http://a.example:8080/?b HTTP/1.1\r\nHost: c.example\r\nFastly-Soft-Purge: 1\r\n", "200",
			"{URL:http://a.example:8080/?b Prefix: Tags:[] All:false Soft:true} {URL:https://a.example:8080/?b Prefix: Tags:[] All:false Soft:true}"},
		{"PURGE /b HTTP/1.1\r\nHost: a.example\r\n", "403", ""},
		{"PURGE /b HTTP/1.1\r\nHost: 127.0.0.1\r\n", "403", ""},
		{"PURGE http://a.example/b HTTP/1.1\r\nHost: a.example\r\nOrigin: http://a.example\r\n", "403", ""},
	} {
		got := answerTo(t, s.adminOn.Addr().String(), []byte(test.request+"Connection: close\r\n\r\n"))
		if purged := p.take(); !strings.HasPrefix(got, "HTTP/1.1 "+test.status) || purged != test.purged {
			t.Errorf("%q: %q, purged %s; want %s, %s", test.request, got, purged, test.status, test.purged)
		}
	}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhoMayPurgeReloadAndProfile(t *testing.T) {
	const secret = "0123456789abcdef"
	with := "admin.token-file=" + tokenFile(t, secret)
	public := " admin.listen=:0"
	for _, test := range []struct {
		settings string
		fields   string // name=value, separated by spaces
		acts     int    // status of what changes something or profiles
		reads    int    // of what does not
	}{
		{"", "", 200, 200},
		{"", "Host=localhost", 200, 200},
		{"", "Host=evil.example", 421, 421},
		{"", "Origin=http://127.0.0.1:9090", 403, 200},
		{"", "Sec-Fetch-Site=none", 403, 200},
		{with, "", 401, 200},
		{with, "Authorization=Bearer_" + secret, 200, 200},
		{with, "Authorization=bearer_" + secret + " Origin=http://a.example", 200, 200},
		{with, "Authorization=Bearer_" + secret + "0", 401, 200},
		{with, "Authorization=Bearer_", 401, 200},
		{with, "Authorization=Basic_" + secret, 401, 200},
		{with, "Authorization=" + secret, 401, 200},
		{with, "Authorization=Bearer_" + secret + " Host=evil.example", 421, 421},
		{with + public, "Host=corral.example", 401, 200},
		{with + public, "Host=corral.example Authorization=Bearer_" + secret, 200, 200},
		{"admin.insecure-public=on" + public, "", 403, 200},
	} {
		var settings, fields []string
		for pair := range strings.FieldsSeq(test.settings) {
			name, value, _ := strings.Cut(pair, "=")
			settings = append(settings, name, value)
		}
		for pair := range strings.FieldsSeq(test.fields) {
			name, value, _ := strings.Cut(pair, "=")
			fields = append(fields, name, strings.ReplaceAll(value, "_", " "))
		}
		p := new(purges)
		s := start(t, stub{HandlerFunc: hello, purge: p.note}, settings...)
		s.load = func() (Config, error) { return *s.config.Load(), nil }
		c := client(t, false)
		for _, r := range []struct {
			method, path string
			want         int
		}{
			{"POST", "/purge", test.acts}, {"POST", "/reload", test.acts}, {"GET", "/debug/pprof/cmdline", test.acts}, {"GET", "/debug/pprof/", test.acts},
			{"GET", "/metrics", test.reads}, {"GET", "/healthz", test.reads}, {"GET", "/readyz", test.reads},
		} {
			if got, body := send(t, c, r.method, s.AdminURL()+r.path, `{"all":true}`, fields...); got != r.want {
				t.Errorf("%s with %s: %s %s = %d %.200s, want %d", test.settings, test.fields, r.method, r.path, got, body, r.want)
			}
		}
		if purged := p.take() != ""; purged != (test.acts == 200) {
			t.Errorf("%s with %s: purged %v", test.settings, test.fields, purged)
		}
	}
}

func TestWithATokenPurgeMayNameItsSiteByHost(t *testing.T) {
	p := new(purges)
	s := start(t, stub{HandlerFunc: hello, purge: p.note}, "admin.token-file", tokenFile(t, "0123456789abcdef"))
	status, _ := send(t, client(t, false), "PURGE", s.AdminURL()+"/b?c", "", "Host", "a.example", "Authorization", "Bearer 0123456789abcdef")
	if purged := p.take(); status != 200 || !strings.HasPrefix(purged, "{URL:http://a.example/b?c ") {
		t.Errorf("PURGE /b?c = %d, purged %s", status, purged)
	}
	if status, _ := send(t, client(t, false), "PURGE", s.AdminURL()+"/b?c", "", "Host", "a.example"); status != 401 || p.take() != "" {
		t.Errorf("PURGE without the token = %d, want 401", status)
	}
}

func TestTheAdminListenerMayAskForCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key, _ := a.issue(t, "admin", "admin.example")
	s := start(t, stub{HandlerFunc: hello}, "admin.listen", ":0", "admin.tls-cert", cert, "admin.tls-key", key, "admin.client-ca", a.path("ca"))
	if !strings.HasPrefix(s.AdminURL(), "https://") {
		t.Errorf("AdminURL() = %s, want it by TLS", s.AdminURL())
	}
	for name, test := range map[string]struct {
		from   *authority
		status int
	}{"none": {nil, 0}, "a stranger's": {stranger, 0}, "its own": {a, 200}} {
		config := a.trusting("admin.example")
		if test.from != nil {
			cert, key, _ := test.from.issue(t, "client", "operator")
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		request, _ := http.NewRequest("POST", s.AdminURL()+"/purge", strings.NewReader(`{"all":true}`))
		response, err := tlsClient(t, config).Do(request)
		status := 0
		if err == nil {
			status = response.StatusCode
			response.Body.Close()
		}
		if status != test.status {
			t.Errorf("with %s certificate: %d, %v; want %d", name, status, err, test.status)
		}
	}
}

func TestAPurgeReachesTheCache(t *testing.T) {
	asked := 0
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, asked)
	}))
	defer origin.Close()
	s := startProxy(t, origin.URL)
	c := client(t, false)
	get := func() string { _, body := get(t, c, s.URL()+"/mug"); return body }
	if first, second := get(), get(); first != "1" || second != "1" {
		t.Fatalf("answers %s and %s, want the second from the cache", first, second)
	}
	conn, err := net.Dial("tcp", s.adminOn.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PURGE %s/mug HTTP/1.1\r\nHost: x\r\n\r\n", s.URL())
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("PURGE = %v, %v", response, err)
	}
	if got := get(); got != "2" {
		t.Errorf("after PURGE the answer is %s, want a new one", got)
	}
	if status, body := send(t, c, "POST", s.AdminURL()+"/purge", `{"url":"/mug"}`); status != 400 || !strings.Contains(body, "write scheme, host and path") {
		t.Errorf("a purge of no URL = %d %s, want 400", status, body)
	}
}
