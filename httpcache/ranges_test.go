package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// alphabet is a body whose every byte tells its place.
const alphabet = "abcdefghijklmnopqrstuvwxyz"

const alphabetChanged = "Fri, 31 Dec 1999 00:00:00 GMT"

var rangeFields = []string{"Cache-Control", "max-age=60", "Etag", `"a"`, "Last-Modified", alphabetChanged, "Content-Type", "text/plain"}

func TestAPartIsAnsweredFromTheWhole(t *testing.T) {
	for _, test := range []struct {
		asked  string
		fields []string // that come with the Range
		status int
		body   string
		at     string // Content-Range
	}{
		{"bytes=0-0", nil, 206, "a", "bytes 0-0/26"},
		{"bytes=3-5", nil, 206, "def", "bytes 3-5/26"},
		{"BYTES=3-5", nil, 206, "def", "bytes 3-5/26"},
		{"bytes=25-", nil, 206, "z", "bytes 25-25/26"},
		{"bytes=20-99", nil, 206, "uvwxyz", "bytes 20-25/26"},
		{"bytes=-3", nil, 206, "xyz", "bytes 23-25/26"},
		{"bytes=-99", nil, 206, alphabet, "bytes 0-25/26"},
		{"bytes=0-", nil, 206, alphabet, "bytes 0-25/26"},
		{"bytes=0-1,2-3", nil, 206, "abcd", "bytes 0-3/26"}, // what touches is one part
		{"bytes=26-", nil, 416, "", "bytes */26"},
		{"bytes=-0", nil, 416, "", "bytes */26"},
		{"bytes=5-3", nil, 200, alphabet, ""},
		{"bytes=x", nil, 200, alphabet, ""},
		{"lines=0-1", nil, 200, alphabet, ""},
		{"bytes=5-6,0-1", nil, 200, alphabet, ""},

		{"bytes=3-5", []string{"If-Range", `"a"`}, 206, "def", "bytes 3-5/26"},
		{"bytes=3-5", []string{"If-Range", `"b"`}, 200, alphabet, ""},
		{"bytes=3-5", []string{"If-Range", `W/"a"`}, 200, alphabet, ""},
		{"bytes=3-5", []string{"If-Range", alphabetChanged}, 206, "def", "bytes 3-5/26"},
		{"bytes=3-5", []string{"If-Range", "Fri, 31 Dec 1999 00:00:01 GMT"}, 200, alphabet, ""},
		{"bytes=99-", []string{"If-Range", `"b"`}, 200, alphabet, ""}, // the Range is as if it were not there

		// The order of RFC 9110, section 13.2.2: 304 comes before any part.
		{"bytes=3-5", []string{"If-None-Match", `"a"`}, 304, "", ""},
		{"bytes=3-5", []string{"If-None-Match", `"b"`}, 206, "def", "bytes 3-5/26"},
		{"bytes=99-", []string{"If-None-Match", `"a"`}, 304, "", ""},
		{"bytes=3-5", []string{"If-Modified-Since", alphabetChanged}, 304, "", ""},
		{"bytes=3-5", []string{"If-None-Match", `"b"`, "If-Modified-Since", alphabetChanged}, 206, "def", "bytes 3-5/26"},
		{"bytes=3-5", []string{"If-None-Match", `"a"`, "If-Range", `"b"`}, 304, "", ""},
	} {
		t.Run(fmt.Sprint(test.asked, test.fields), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page(alphabet, rangeFields...), nil)
				fields := append([]string{"Range", test.asked}, test.fields...)
				cold := missStored
				if test.status != 200 { // the origin's 200 differs from what is sent
					cold = "Corral;fwd=uri-miss;fwd-status=200;ttl=60;stored"
				}
				for _, cache := range []string{cold, "Corral;hit;ttl=60"} {
					g := w.get("/p", fields...)
					g.want(t, test.status, test.body, cache)
					if at := g.header.Get("Content-Range"); at != test.at {
						t.Errorf("Content-Range = %q, want %q", at, test.at)
					}
					if g.header.Get("Etag") != `"a"` {
						t.Errorf("header = %v, want the ETag", g.header)
					}
					if length := g.header.Get("Content-Length"); test.status != 304 && length != fmt.Sprint(len(test.body)) {
						t.Errorf("Content-Length = %q, want %d", length, len(test.body))
					}
				}
				for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
					if sent := w.origin.seen().Header.Get(name); sent != "" {
						t.Errorf("the origin was sent %s: %s", name, sent)
					}
				}
				w.get("/p").want(t, 200, alphabet, "Corral;hit;ttl=60")
				w.wantCalls(1)
			})
		})
	}
}

func TestARangeMeansNothingToAHeadNorToWhatIsNo200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			switch r.URL.Path {
			case "/missing":
				rw.WriteHeader(404)
				io.WriteString(rw, "no such page")
			case "/204":
				rw.WriteHeader(204)
			case "/whole":
				io.WriteString(rw, alphabet)
			}
		}, nil)
		for range 2 {
			for path, want := range map[string]got{
				"/missing": {status: 404, body: "no such page"},
				"/empty":   {status: 200},
				"/204":     {status: 204},
			} {
				g := w.get(path, "Range", "bytes=0-1")
				g.want(t, want.status, want.body, g.cache())
				if g.header.Get("Content-Range") != "" {
					t.Errorf("%s: Content-Range = %q", path, g.header.Get("Content-Range"))
				}
			}
		}
		w.wantCalls(3)
		w.get("/whole")
		for _, asked := range []string{"bytes=0-1", "bytes=99-"} {
			g := w.do(t.Context(), "HEAD", "/whole", "Range", asked)
			g.want(t, 200, "", "Corral;hit;ttl=60")
			if g.header.Get("Content-Length") != "26" || g.header.Get("Content-Range") != "" {
				t.Errorf("HEAD with Range: header = %v", g.header)
			}
		}
		w.wantCalls(1)
	})
}

// wantParts reads a body as multipart/byteranges and compares its parts with
// those of a whole.
func (g got) wantParts(t *testing.T, whole string, bounds ...[2]int) {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(g.header.Get("Content-Type"))
	if g.status != 206 || g.err != nil || err != nil || kind != "multipart/byteranges" || g.header.Get("Content-Range") != "" {
		t.Fatalf("%s = %d, %v, %v; want a multipart", g.what, g.status, g.header, g.err)
	}
	if length := g.header.Get("Content-Length"); length != fmt.Sprint(len(g.body)) {
		t.Fatalf("Content-Length = %s, want %d", length, len(g.body))
	}
	parts := multipart.NewReader(strings.NewReader(g.body), parameters["boundary"])
	for _, b := range bounds {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("%s: the part from %d: %v", g.what, b[0], err)
		}
		body, err := io.ReadAll(part)
		if want := fmt.Sprintf("bytes %d-%d/%d", b[0], b[1], len(whole)); err != nil || string(body) != whole[b[0]:b[1]+1] || part.Header.Get("Content-Range") != want {
			t.Fatalf("%s: part %q of %d bytes, %v; want %q", g.what, part.Header.Get("Content-Range"), len(body), err, want)
		}
		if kind := part.Header.Get("Content-Type"); kind != "text/plain" {
			t.Fatalf("%s: a part's Content-Type = %q, want that of the whole", g.what, kind)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatalf("%s: after the parts: %v, want the end", g.what, err)
	}
}

func TestSeveralPartsAreAMultipart(t *testing.T) {
	const size = 1000_000
	whole := strings.Repeat("0123456789", size/10)
	for _, test := range []struct {
		asked string
		parts [][2]int
	}{
		{"bytes=0-0,-1", [][2]int{{0, 0}, {size - 1, size - 1}}},
		{"bytes=0-99,200000-399999,999999-", [][2]int{{0, 99}, {200000, 399999}, {999999, 999999}}},
		{"bytes=0-10,5-20,500-501", [][2]int{{0, 20}, {500, 501}}},
		{"bytes=0-10,2000000-,500-501", [][2]int{{0, 10}, {500, 501}}}, // one that is not there is left out
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, page(whole, append(rangeFields, "Content-Length", fmt.Sprint(size))...), nil)
			for range 2 {
				w.get("/p", "Range", test.asked).wantParts(t, whole, test.parts...)
			}
			w.wantCalls(1)
		})
	}
}

func TestRandomPartsAreExact(t *testing.T) {
	const size = 300_000
	whole := strings.Repeat("0123456789", size/10)
	random := rand.New(rand.NewPCG(1, 2))
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page(whole, append(rangeFields, "Content-Length", fmt.Sprint(size))...), nil)
		for range 200 {
			var asked []string
			var parts [][2]int
			for at := 0; len(asked) < 1+random.IntN(5); {
				first := at + 100 + random.IntN(40_000)
				last := min(first+random.IntN(40_000), size-1)
				if first >= size {
					break
				}
				asked = append(asked, fmt.Sprintf("%d-%d", first, last))
				parts = append(parts, [2]int{first, last})
				at = last
			}
			g := w.get("/p", "Range", "bytes="+strings.Join(asked, ","))
			if len(parts) == 1 {
				g.want(t, 206, whole[parts[0][0]:parts[0][1]+1], g.cache())
				continue
			}
			g.wantParts(t, whole, parts...)
		}
		w.wantCalls(1)
	})
}

func TestRequestsForPartsAndForTheWholeShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page(alphabet, rangeFields...)), nil)
		asked := []string{"", "bytes=0-2", "bytes=-1", "bytes=26-"}
		want := []got{{status: 200, body: alphabet}, {status: 206, body: "abc"}, {status: 206, body: "z"}, {status: 416}}
		for i, g := range together(400, func(i int) got {
			if asked[i%4] == "" {
				return w.get("/p")
			}
			return w.get("/p", "Range", asked[i%4])
		}) {
			g.wantAt(t, 100*time.Millisecond, want[i%4].status, want[i%4].body, g.cache())
		}
		w.wantCalls(1)
	})
}

// A client that wants a part does not decide how much of the whole comes: else
// one that looks at the first bytes of each page would keep all out of the
// cache.
func TestARequestForAPartFillsTheCache(t *testing.T) {
	for _, asked := range []string{"bytes=0-2", "bytes=0-0,-1", "bytes=99-"} {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise(append(rangeFields, "Content-Length", "26")...)
			w := open(t, memory{}, o.answer, nil)
			part := w.begin(t.Context(), "/p", "Range", asked)
			o.pieces <- alphabet[:10]
			synctest.Wait()
			if asked != "bytes=0-0,-1" {
				<-part
			}
			o.pieces <- alphabet[10:]
			synctest.Wait()
			w.get("/p").want(t, 200, alphabet, "Corral;hit;ttl=60")
			w.wantCalls(1)
		})
	}
}

func TestAPartOfABodyThatStillArrivesIsReadAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise(append(rangeFields, "Content-Length", "26")...)
		w := open(t, memory{}, o.answer, nil)
		first := w.read("/p")
		o.pieces <- alphabet[:5]
		first.want(alphabet[:5])
		part := w.read("/p", "Range", "bytes=3-9")
		if part.res.StatusCode != 206 || part.res.Header.Get("Content-Range") != "bytes 3-9/26" {
			t.Fatalf("got %s, %v", part.res.Status, part.res.Header)
		}
		part.want("de")
		suffix := w.read("/p", "Range", "bytes=-2") // whose header needs none of it
		o.pieces <- alphabet[5:7]
		part.want("fg")
		o.pieces <- alphabet[7:25]
		part.want("hij")
		part.wantEnd(nil) // although the whole has no end yet
		suffix.want("y")
		o.pieces <- alphabet[25:]
		suffix.want("z")
		suffix.wantEnd(nil)
		first.want(alphabet[5:])
		w.wantCalls(1)
	})
}

// Of a body whose length nobody knows no Content-Range can be told.
func TestAPartOfABodyOfUnknownLengthIsTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise(rangeFields...)
		w := open(t, memory{}, o.answer, nil)
		r := w.read("/p", "Range", "bytes=1-2")
		o.pieces <- "abc"
		r.want("abc")
		if r.res.StatusCode != 200 || r.res.Header.Get("Content-Range") != "" {
			t.Errorf("got %s, %v", r.res.Status, r.res.Header)
		}
		close(o.pieces)
		r.wantEnd(nil)
		synctest.Wait()
		w.get("/p", "Range", "bytes=1-2").want(t, 206, "bc", "Corral;hit;ttl=60")
		w.wantCalls(1)
	})
}

func TestAPartIsNeverShortWithoutAnError(t *testing.T) {
	for _, asked := range []string{"bytes=2-8", "bytes=0-1,20-21", "bytes=20-"} {
		for _, control := range []string{"max-age=60", "private"} {
			synctest.Test(t, func(t *testing.T) {
				o := newPiecewise("Cache-Control", control, "Content-Length", "500")
				w := open(t, memory{}, o.answer, nil)
				answer := w.begin(t.Context(), "/p", "Range", asked)
				o.pieces <- "part"
				synctest.Wait()
				o.pieces <- "!"
				if g := <-answer; g.err == nil {
					t.Errorf("%s of %s: %d %q without an error", asked, control, g.status, g.body)
				}
				w.wantCalls(1)
			})
		}
	}
}

func TestAPartOfWhatIsEncodedIsOfItsBytesAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("\x1f\x8bzipped", append(rangeFields, "Content-Encoding", "gzip", "Vary", "Accept-Encoding")...), nil)
		for range 2 {
			g := w.get("/p", "Range", "bytes=2-4", "Accept-Encoding", "gzip")
			g.want(t, 206, "zip", g.cache())
			if g.header.Get("Content-Encoding") != "gzip" {
				t.Errorf("header = %v", g.header)
			}
		}
		w.wantCalls(1)
	})
}

// Once it is known that it is for one, the origin is asked for the part itself.
func TestAPartOfAnAnswerForOneIsAPartOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "private")
			rw.Header().Set("Etag", `"a"`)
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(alphabet))
		}, nil)
		for _, asked := range []string{"", "bytes=3-5"} {
			g := w.get("/p", "Range", "bytes=3-5")
			if g.status != 206 || g.body != "def" || g.header.Get("Content-Range") != "bytes 3-5/26" {
				t.Errorf("got %d %q, %v", g.status, g.body, g.header)
			}
			if got := w.origin.seen().Header.Get("Range"); got != asked {
				t.Errorf("the origin was asked for %q, want %q", got, asked)
			}
		}
		w.wantCalls(2)
	})
}

// An identified request for a part that the cache cannot answer goes to the
// origin as it is.
func TestAnIdentifiedRequestForAPartGoesAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			http.ServeContent(rw, r, "p.txt", time.Time{}, strings.NewReader(alphabet))
		}, nil)
		g := w.get("/p", "Range", "bytes=3-5", "Cookie", "id=1")
		g.want(t, 206, "def", "Corral;fwd=uri-miss;detail=cookie")
		if sent := w.origin.seen().Header.Get("Range"); sent != "bytes=3-5" {
			t.Errorf("the origin was asked for %q", sent)
		}
	})
}

func TestPartsOfWhatIsTooLargeAreAskedOfTheOrigin(t *testing.T) {
	const size = 100_000
	whole := strings.Repeat("0123456789", size/10)
	origin := slowly(time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		rw.Header().Set("Content-Type", "text/plain")
		rw.Header().Set("Etag", `"a"`)
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(whole))
	})
	limit := func(o *httpcache.Options) { o.MaxObjectBytes, o.PassTTL = size-1, time.Minute }
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, origin, limit)
		w.get("/p", "Range", "bytes=10-19").want(t, 206, "0123456789", "Corral;fwd=uri-miss;detail=range")
		w.wantCalls(2) // the first one finds out
		for range 3 {
			w.get("/p", "Range", "bytes=10-19").want(t, 206, "0123456789", "Corral;fwd=uri-miss;detail=range")
		}
		w.wantCalls(3)
		for _, g := range together(10, func(int) got { return w.get("/p") }) {
			g.want(t, 200, whole, g.cache())
		}
		w.wantCalls(1)
		time.Sleep(time.Minute) // then it may have become smaller
		w.get("/p", "Range", "bytes=10-19")
		w.wantCalls(2)
	})
	synctest.Test(t, func(t *testing.T) { // at its limit it is kept
		w := open(t, memory{}, origin, func(o *httpcache.Options) { o.MaxObjectBytes = size + 4096 })
		w.get("/p", "Range", "bytes=10-19").want(t, 206, "0123456789", "Corral;fwd=uri-miss;fwd-status=200;ttl=59;stored")
		synctest.Wait()
		w.get("/p", "Range", "bytes=10-19").want(t, 206, "0123456789", "Corral;hit;ttl=59")
		w.wantCalls(1)
	})
}

func TestWhoLeavesAPartDoesNotBreakTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise(append(rangeFields, "Content-Length", "26")...)
		w := open(t, memory{}, o.answer, nil)
		ctx, leave := context.WithCancel(t.Context())
		part := w.begin(ctx, "/p", "Range", "bytes=0-20")
		whole := w.begin(t.Context(), "/p")
		o.pieces <- alphabet[:5]
		leave()
		<-part
		o.pieces <- alphabet[5:]
		(<-whole).want(t, 200, alphabet, "Corral;hit;ttl=60")
		w.wantCalls(1)
	})
}
