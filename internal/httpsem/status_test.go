package httpsem

import (
	"net/http"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestRFC9211Section2CacheStatus(t *testing.T) {
	for _, c := range []struct {
		status Status
		want   string
	}{
		{Status{Cache: "corral"}, "corral"},
		{Status{Cache: "a b"}, `"a b"`},
		{Status{Cache: "corral", Hit: true, HasTTL: true, TTL: 376 * second}, "corral;hit;ttl=376"},
		{Status{Cache: "corral", Hit: true, Fwd: FwdStale}, "corral;hit"},
		{Status{Cache: "corral", Fwd: FwdURIMiss, Stored: true}, "corral;fwd=uri-miss;stored"},
		{Status{Cache: "corral", Fwd: FwdURIMiss, Collapsed: true}, "corral;fwd=uri-miss;collapsed"},
		{Status{Cache: "corral", Fwd: FwdStale, FwdStatus: 304, HasTTL: true, TTL: 60 * second, Stored: true}, "corral;fwd=stale;fwd-status=304;ttl=60;stored"},
		{Status{Cache: "corral", Fwd: FwdBypass, Detail: "private"}, "corral;fwd=bypass;detail=private"},
		{Status{Cache: "corral", Detail: `a "b" \ é`}, `corral;detail="a \"b\" \\ %C3%A9"`},
		{Status{Cache: "corral", Hit: true, Key: "GET http://a/b\n"}, `corral;hit;key="GET http://a/b%0A"`},
		{Status{Cache: "corral", Hit: true, HasTTL: true, TTL: second - 1}, "corral;hit;ttl=0"},
		{Status{Cache: "corral", Hit: true, HasTTL: true, TTL: -1}, "corral;hit;ttl=-1"},
		{Status{Cache: "corral", Hit: true, HasTTL: true, TTL: -412 * second}, "corral;hit;ttl=-412"},
	} {
		is(t, "Cache-Status", c.status.String(), c.want)
	}
}

func TestRFC9211Section2MembersFollowThoseOfOtherCaches(t *testing.T) {
	ours := Status{Cache: "corral", Hit: true}
	for _, c := range []struct {
		name string
		came []string
		want []string
	}{
		{"none", nil, []string{"corral;hit"}},
		{"one", []string{"Origin; hit; ttl=5"}, []string{"Origin; hit; ttl=5", "corral;hit"}},
		{"two lines", []string{"a", `"b c";x=1`}, []string{"a", `"b c";x=1`, "corral;hit"}},
		{"an empty line", []string{" "}, []string{"corral;hit"}},
		{"what is not a list", []string{"a; hit, (", "b"}, []string{"corral;hit"}},
	} {
		h := http.Header{}
		if c.came != nil {
			h["Cache-Status"] = c.came
		}
		AppendStatus(h, ours)
		is(t, c.name, h["Cache-Status"], c.want)
	}
	shared := make([]string, 1, 4)
	shared[0] = "a"
	one, two := http.Header{"Cache-Status": shared}, http.Header{"Cache-Status": shared}
	AppendStatus(one, ours)
	AppendStatus(two, Status{Cache: "other"})
	is(t, "two answers from one stored header", one["Cache-Status"][1], "corral;hit")
}

func FuzzStatus(f *testing.F) {
	f.Add("corral", "uri-miss", "GET http://a/", "private", int64(5), "a; hit")
	f.Add("", "\x00", "é", "", int64(-1), "(")
	f.Fuzz(func(t *testing.T, cache, fwd, key, detail string, ttl int64, came string) {
		h := http.Header{"Cache-Status": {came}}
		AppendStatus(h, Status{Cache: cache, Fwd: Fwd(fwd), Key: key, Detail: detail, TTL: time.Duration(ttl), HasTTL: true})
		if _, err := httpsfv.UnmarshalList(h["Cache-Status"]); err != nil {
			t.Errorf("Cache-Status %q: %v", h["Cache-Status"], err)
		}
	})
}
