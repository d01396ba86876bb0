package upstream_test

import (
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/upstream"
)

func at(text string) upstream.Server {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return upstream.Server{URL: u}
}

func TestEachWrongFieldIsNamedWithItsValueAndTheRemedy(t *testing.T) {
	one := []upstream.Server{at("http://a.test")}
	for _, row := range []struct {
		o    upstream.Options
		want string
	}{
		{upstream.Options{}, "Servers is empty: name one server at least"},
		{upstream.Options{Servers: make([]upstream.Server, 1025)}, "Servers is 1025 long: name at most 1024"},
		{upstream.Options{Servers: []upstream.Server{{}}}, "Servers[0].URL is nil: set it, as http://127.0.0.1:9000"},
		{upstream.Options{Servers: []upstream.Server{at("ftp://a.test")}}, "Servers[0].URL is ftp://a.test: its scheme must be http or https"},
		{upstream.Options{Servers: []upstream.Server{at("http:///x")}}, "Servers[0].URL is http:///x: it names no host"},
		{upstream.Options{Servers: []upstream.Server{at("http://u:secret@a.test")}}, "Servers[0].URL is http://u:xxxxx@a.test: take the user out: a pool adds no credentials to requests"},
		{upstream.Options{Servers: []upstream.Server{at("http://a.test/?x")}}, "Servers[0].URL is http://a.test/?x: take query and fragment out"},
		{upstream.Options{Servers: []upstream.Server{at("http://b.test"), at("http://a.test"), at("http://b.test")}}, "Servers[2].URL is http://b.test: Servers[0] has it too: give that one a Weight instead"},
		{upstream.Options{Servers: []upstream.Server{{URL: one[0].URL, Weight: -1}}}, "Servers[0].Weight is -1: set a number from 1 to 65535, or 0 for 1"},
		{upstream.Options{Servers: []upstream.Server{{URL: one[0].URL, Weight: 65536}}}, "Servers[0].Weight is 65536: set a number from 1 to 65535, or 0 for 1"},
		{upstream.Options{Servers: one, Name: "a\nb"}, `Name is "a\nb": take control characters out`},
		{upstream.Options{Servers: one, Policy: 3}, "Policy is 3: use LeastRequests, RoundRobin or Hash"},
		{upstream.Options{Servers: one, Policy: -1}, "Policy is -1: use LeastRequests, RoundRobin or Hash"},
		{upstream.Options{Servers: one, Policy: upstream.Hash, HashBound: 1}, "HashBound is 1: set a number above 1, as 1.25, or 0 for no bound"},
		{upstream.Options{Servers: one, Policy: upstream.Hash, HashBound: math.NaN()}, "HashBound is NaN: set a number above 1, as 1.25, or 0 for no bound"},
		{upstream.Options{Servers: one, HashBound: 2}, "HashBound is 2: it needs Policy Hash: set that, or 0"},
		{upstream.Options{Servers: one, ConnectTimeout: -1}, "ConnectTimeout is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, HeaderTimeout: -1}, "HeaderTimeout is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, IdleTimeout: -1}, "IdleTimeout is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, MaxHeaderBytes: -1}, "MaxHeaderBytes is -1: set a number of bytes above 0, or 0 for the default"},
		{upstream.Options{Servers: one, MaxConns: -1}, "MaxConns is -1: set a number above 0, or 0 for the default"},
		{upstream.Options{Servers: one, Rate: -1}, "Rate is -1: set a number of requests a second, or 0 for no limit"},
		{upstream.Options{Servers: one, Rate: math.Inf(1)}, "Rate is +Inf: set a number of requests a second, or 0 for no limit"},
		{upstream.Options{Servers: one, Rate: math.NaN()}, "Rate is NaN: set a number of requests a second, or 0 for no limit"},
		{upstream.Options{Servers: one, Rate: 1, Burst: -1}, "Burst is -1: set a number above 0, or 0 for the default"},
		{upstream.Options{Servers: one, Burst: 1}, "Burst is 1: it needs Rate: set that, or 0"},
		{upstream.Options{Servers: one, QueueTimeout: -1}, "QueueTimeout is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, EjectFor: -1}, "EjectFor is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, MaxEjectFor: -1}, "MaxEjectFor is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, EjectFor: time.Hour}, "MaxEjectFor is 5m0s: set at least EjectFor, which is 1h0m0s"},
		{upstream.Options{Servers: one, MaxEjectFor: time.Second}, "MaxEjectFor is 1s: set at least EjectFor, which is 10s"},
		{upstream.Options{Servers: one, MinHealthy: -0.1}, "MinHealthy is -0.1: set a part between 0 and 1"},
		{upstream.Options{Servers: one, MinHealthy: 1.1}, "MinHealthy is 1.1: set a part between 0 and 1"},
		{upstream.Options{Servers: one, RetryBudget: math.NaN()}, "RetryBudget is NaN: set a part between 0 and 1"},
		{upstream.Options{Servers: one, Health: upstream.Health{Interval: 1}}, `Health.Path is "": set it, as /healthz: without it servers are not asked`},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "x"}}, `Health.Path is "x": it must begin with a slash and be a path, with or without a query`},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/%"}}, `Health.Path is "/%": it must begin with a slash and be a path, with or without a query`},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", Interval: -1}}, "Health.Interval is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", Jitter: 1.1}}, "Health.Jitter is 1.1: set a part between 0 and 1, or a negative number for none"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", Timeout: -1}}, "Health.Timeout is -1ns: set a duration above 0, or 0 for the default"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", MinStatus: 99}}, "Health.MinStatus is 99: set a status code"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", MaxStatus: 199}}, "Health.MaxStatus is 199: set a status code from MinStatus, which is 200, to 599"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", MaxStatus: 600}}, "Health.MaxStatus is 600: set a status code from MinStatus, which is 200, to 599"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", UnhealthyAfter: -1}}, "Health.UnhealthyAfter is -1: set a number above 0, or 0 for the default"},
		{upstream.Options{Servers: one, Health: upstream.Health{Path: "/", HealthyAfter: -1}}, "Health.HealthyAfter is -1: set a number above 0, or 0 for the default"},
	} {
		err := row.o.Validate()
		if err == nil || !strings.Contains(err.Error(), "upstream: Options."+row.want) {
			t.Errorf("Validate = %v, want %q", err, row.want)
		}
		if _, err := upstream.New(row.o); err == nil {
			t.Errorf("New took what Validate says is wrong: %s", row.want)
		}
	}
}

func TestAllThatIsWrongIsReportedAtOnce(t *testing.T) {
	err := upstream.Options{MaxConns: -1, Rate: -1}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Fatalf("Validate = %v, want three lines", err)
	}
}

func TestWhatIsUsualIsRight(t *testing.T) {
	for _, o := range []upstream.Options{
		{Servers: []upstream.Server{at("http://127.0.0.1:9000")}},
		{Servers: []upstream.Server{at("https://a.test/x/"), at("http://[::1]:80")}, Policy: upstream.Hash, HashBound: 1.25},
		{Servers: []upstream.Server{at("http://a.test")}, MaxRequests: -1, MaxQueued: -1, EjectAfter: -1, Retries: -1},
		{Servers: []upstream.Server{at("http://a.test")}, Rate: 0.5, Burst: 1, MinHealthy: 1, RetryBudget: 1},
		{Servers: []upstream.Server{at("http://a.test")}, Health: upstream.Health{Path: "/healthz?x=1", Jitter: -1, MinStatus: 204, MaxStatus: 204}},
	} {
		p, err := upstream.New(o)
		if err != nil {
			t.Errorf("New: %v", err)
			continue
		}
		p.Close()
	}
}
