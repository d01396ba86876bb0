package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/corralcache/corral/upstream"
)

// Of a burst of four a quarter falls to this process, also of a pool that a
// reload has made anew: the second request is refused, since none may wait.
func TestAPoolTakesItsShareOfItsRateAlsoAfterAReload(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer origin.Close()
	var c Config
	p := addPool(t, &c, "shop", origin.URL)
	p.Rate, p.Burst, p.MaxQueued = 0.001, 4, 0
	send := func(b *backend) error {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.test/", nil)
		request.URL.Scheme, request.URL.Host = b.base.Scheme, b.base.Host
		response, err := b.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	quarter := func() float64 { return 0.25 }
	var opened backends
	for _, test := range []struct {
		name  string
		burst int
		share func() float64
		want  int // requests that may be sent at once
	}{
		{"alone", 4, nil, 4},
		{"one of four", 4, quarter, 1},
		{"after a reload", 8, quarter, 1},
	} {
		p.Burst = test.burst
		if test.name == "one of four" {
			opened = nil // another process
		}
		now, problems := c.backends(opened, slog.New(slog.DiscardHandler), test.share)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		defer now.closeOthersThan(nil)
		opened = now
		sent := 0
		var err error
		for ; sent < 10 && err == nil; sent++ {
			err = send(now["shop"])
		}
		if sent-1 != test.want || !errors.Is(err, upstream.ErrBusy) {
			t.Errorf("%s: %d requests were sent at once, and then %v; want %d, and ErrBusy", test.name, sent-1, err, test.want)
		}
	}
	if shareOf(nil) != nil {
		t.Error("a process that is no node shares its rates")
	}
}
