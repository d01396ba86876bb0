package httpsem

import (
	"net/http"
	"testing"
)

// ordinary is a request as most are.
var ordinary = &http.Request{
	Method: "GET", Host: "shop.test", RequestURI: "/catalogue/shoes?size=43&page=2",
	Header: http.Header{"User-Agent": {"Mozilla/5.0"}, "Accept": {"text/html, */*;q=0.8"}, "Accept-Encoding": {"gzip, br"}},
}

// conditional is one from a browser that has the page already.
var conditional = &http.Request{
	Method: "GET", Host: "shop.test", RequestURI: "/catalogue/shoes?size=43&page=2",
	Header: http.Header{"User-Agent": {"Mozilla/5.0"}, "If-None-Match": {`"b", "a"`}, "If-Modified-Since": {at(-60)}},
}

// reload is one from a browser whose user wants it new.
var reload = &http.Request{
	Method: "GET", Host: "shop.test", RequestURI: "/catalogue/shoes?size=43&page=2",
	Header: http.Header{"User-Agent": {"Mozilla/5.0"}, "Cache-Control": {"max-age=0, no-cache"}, "Pragma": {"no-cache"}},
}

var storedHeader = header("ETag: \"a\"\nLast-Modified: " + at(-60) + "\nDate: " + at(0) + "\nCache-Control: max-age=60")

// hit is what a hit needs of this package, given a buffer for its key.
func hit(r *http.Request, key []byte) bool {
	k, err := NewKey(r.Method, "http", r.Host, r.RequestURI)
	if err != nil || Bypass(r) != NoReason || len(k.Append(key[:0])) == 0 {
		return false
	}
	if Identified(r.Header) || !ParseRequestControl(r.Header).Accepts(Stored{TTL: second}) {
		return false
	}
	if _, code := Select(r.Header, storedHeader, 1024); code != http.StatusOK {
		return false
	}
	return NotModified(r.Method, r.Header, http.StatusOK, storedHeader)
}

func TestAHitAllocatesNothingHere(t *testing.T) {
	key := make([]byte, 0, 256)
	for name, r := range map[string]*http.Request{"ordinary": ordinary, "conditional": conditional, "reload": reload} {
		is(t, "allocations of "+name, testing.AllocsPerRun(100, func() { hit(r, key) }), 0)
	}
	is(t, "allocations of a key's text", testing.AllocsPerRun(100, func() { keyText = benchKey.String() }), 1)
}

var (
	benchKey = Key{"GET", "http", "shop.test", "/catalogue/shoes?size=43&page=2"}
	keyText  string
)

func BenchmarkHit(b *testing.B) {
	key := make([]byte, 0, 256)
	for _, c := range []struct {
		name string
		r    *http.Request
	}{{"ordinary", ordinary}, {"conditional", conditional}, {"reload", reload}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hit(c.r, key)
			}
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	x := exchange(200, "Cache-Control: public, max-age=60, stale-while-revalidate=5\nVary: Accept-Encoding\nETag: \"a\"\nDate: "+at(0))
	b.ReportAllocs()
	for b.Loop() {
		new(Cache).Judge(x)
	}
}
