package httpcache_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// rangeOf gives a client's range of an object, different for each.
func rangeOf(i, size int) (from, to int) {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	from = random.IntN(size)
	return from, min(from+random.IntN(100_000), size-1)
}

// A thousand clients who want different parts of one object cost one fetch of it.
func TestAttackRangeStormOnWhatIsKept(t *testing.T) {
	const size = 2 << 20
	f := newFilm(size)
	w := open(t, sockets{}, slowly(200*time.Millisecond, f.ServeHTTP), nil)
	for range 2 { // cold, and from the cache
		together(sizeOf(1000, 500), func(i int) got {
			from, to := rangeOf(i, size)
			f.wantPart(t, w.part("/film", from, to), from, to)
			return got{}
		})
	}
	w.wantCalls(1)
}

// Of an object that is too large to be kept each slice is fetched once, and
// memory stays under its limit.
func TestAttackRangeStormOnWhatIsTooLarge(t *testing.T) {
	const size, bound = 24<<20 + 7, 40 << 20
	f := newFilm(size)
	w := open(t, sockets{}, f.ServeHTTP, func(o *httpcache.Options) { o.MaxBytes, o.MaxObjectBytes = bound, 2<<20 })
	f.wantPart(t, w.part("/film", 0, 9), 0, 9)
	before := held()
	together(sizeOf(1000, 500), func(i int) got {
		from, to := rangeOf(i, size)
		f.wantPart(t, w.part("/film", from, to), from, to)
		if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
			t.Errorf("%d bytes are held, want %d at most", s.Bytes+s.BytesInFlight, bound)
		}
		return got{}
	})
	if n, slices := w.origin.calls(), size>>20+1; n > slices+1 {
		t.Errorf("the origin was called %d times for %d slices", n, slices)
	}
	const connection = 40 << 10 // both ends of one, which are kept open
	wantHeld(t, "a storm of ranges", before, bound+1000*connection)
}

// What a request for ranges is sent is never more than the whole and a little.
func TestAttackManyRangesAndOverlappingOnes(t *testing.T) {
	const size = 64 << 10
	w := open(t, sockets{}, newFilm(size).ServeHTTP, nil)
	w.get("/film")
	w.origin.calls()
	repeat := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	ascending := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%d-%d", i*1000, i*1000+1))
		}
		return strings.Join(all, ",")
	}
	for _, test := range []struct {
		name, ranges string
		status       int
		most         int // bytes of the body
	}{
		{"all of it again and again", repeat("0-", 1300), 200, size},
		{"all of it sixteen times", repeat("0-", 16), 206, size},
		{"the same byte again and again", repeat("0-0", 2000), 200, size},
		{"the same byte sixteen times", repeat("0-0", 16), 206, 1},
		{"overlapping ones", "0-9999,5000-14999,10000-19999", 206, 20_000},
		{"one within another", "0-60000,1-2,3-4", 206, size},
		{"suffixes that grow", "-1,-2,-3,-4,-5", 200, size},
		{"from the end to the beginning", "60000-,50000-,40000-", 200, size},
		{"sixteen apart", ascending(16), 206, 16 * 200},
		{"seventeen apart", ascending(17), 200, size},
		{"beyond all numbers", "99999999999999999999999999-", 416, 0},
		{"beyond the end", fmt.Sprint(size, "-"), 416, 0},
		{"to beyond all numbers", "0-99999999999999999999999999", 206, size},
		{"a suffix of nothing", "-0", 416, 0},
		{"back to front", "5-1", 200, size},
		{"negative", "--1", 200, size},
		{"with signs", "+0-+1", 200, size},
		{"in another unit", "evil", 200, size},
		{"nothing but commas", repeat("", 8000), 200, size},
	} {
		g := w.get("/film", "Range", "bytes="+test.ranges)
		if g.err != nil || g.status != test.status || len(g.body) > test.most {
			t.Errorf("%s: %d with %d bytes, %v; want %d with %d at most", test.name, g.status, len(g.body), g.err, test.status, test.most)
		}
	}
	if g := w.get("/film", "Range", "bytes=0-0", "Range", "bytes=1-"); g.status != 200 || len(g.body) != size {
		t.Errorf("two lines: %d with %d bytes", g.status, len(g.body))
	}
	w.wantCalls(0)
}
