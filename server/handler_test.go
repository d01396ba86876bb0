package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startProxy starts a whole daemon before an origin.
func startProxy(t *testing.T, origin string, settings ...string) *running {
	t.Helper()
	c := valid(t)
	set(t, &c, "origin", origin)
	for i := 0; i < len(settings); i += 2 {
		set(t, &c, settings[i], settings[i+1])
	}
	handler, err := NewHandler(c, slog.New(slog.DiscardHandler), Tiers{})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, handler, settings...)
}

func TestTheLogAndTheMetricsSayWhatTheCacheDid(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "mug")
	}))
	defer origin.Close()
	s := startProxy(t, origin.URL)
	c := client(t, false)
	for range 2 {
		if code, body := get(t, c, s.URL()+"/mug"); code != 200 || body != "mug" {
			t.Fatalf("GET /mug = %d %q, want 200 mug", code, body)
		}
	}
	waitFor(t, func() bool { return len(s.log.lines()) == 2 })
	var miss, hit map[string]any
	for i, line := range []*map[string]any{&miss, &hit} {
		if err := json.Unmarshal([]byte(s.log.lines()[i]), line); err != nil {
			t.Fatal(err)
		}
	}
	if status := fmt.Sprint(miss["cache"]); !strings.Contains(status, "fwd=uri-miss") || miss["origin_status"] != 200. || miss["origin_ms"] == nil {
		t.Errorf("line of the first request = %v, want fwd=uri-miss and what the origin did", miss)
	}
	if status := fmt.Sprint(hit["cache"]); !strings.HasPrefix(status, "corral;hit") || hit["origin_ms"] != nil {
		t.Errorf("line of the second request = %v, want a hit and no origin", hit)
	}
	_, metrics := get(t, c, s.AdminURL()+"/metrics")
	for _, want := range []string{`{code="200",result="uri-miss"} 1`, `{code="200",result="hit"} 1`} {
		if !strings.Contains(metrics, "corral_http_requests_total"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestAnOriginThatIsDownIsNoReasonNotToStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := startProxy(t, "http://"+address)
	c := client(t, false)
	if code, _ := get(t, c, s.AdminURL()+"/readyz"); code != 200 {
		t.Errorf("/readyz = %d, want 200", code)
	}
	if code, _ := get(t, c, s.URL()+"/mug"); code != 502 {
		t.Errorf("GET /mug with the origin down = %d, want 502", code)
	}

	l, err = net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the origin's port was taken meanwhile: %v", err)
	}
	origin := &http.Server{Handler: http.HandlerFunc(hello)}
	go origin.Serve(l)
	defer origin.Close()
	if code, _ := get(t, c, s.URL()+"/cup"); code != 200 {
		t.Errorf("GET /cup with the origin up again = %d, want 200", code)
	}
}
