package docgen

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A scene is one way in which an answer comes about. The last answer of its act
// is the one that it is about.
type scene struct {
	title   string
	text    string
	origin  http.HandlerFunc
	options func(*httpcache.Options)
	act     func(*stage)
}

// says is an origin that gives every request the same answer. Fields are names
// and values in turn.
func says(body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		io.WriteString(w, body+"\n")
	}
}

// after is an origin that thinks first.
func after(d time.Duration, origin http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			origin(w, r)
		case <-r.Context().Done():
		}
	}
}

// validating is an origin whose answer has a validator and does not change.
func validating(body, control string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"v7"` {
			w.Header().Set("Cache-Control", control)
			w.Header().Set("Etag", `"v7"`)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		says(body, "Cache-Control", control, "Etag", `"v7"`)(w, r)
	}
}

// film is an origin with a file that is larger than what is kept whole.
func film(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Etag", `"cut-1"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("All work and no play.\n", 100_000)))
}

func curl(args ...string) func(*stage) { return func(s *stage) { s.curl(args...) } }

// rule is an option that adds a rule.
func rule(r httpcache.Rule) func(*httpcache.Options) {
	return func(o *httpcache.Options) { o.Rules = append(o.Rules, r) }
}

// fails lets the origin answer with an error from now on.
func (s *stage) fails() {
	s.origin = func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the database is down", http.StatusInternalServerError)
	}
}

// chapters are the scenes in the order of the page.
var chapters = []struct {
	title, text string
	scenes      []scene
}{
	{"For everybody", "The answer may be given to all who ask for it.", []scene{
		{
			title:  "Stored",
			text:   "Nothing was there (`uri-miss`): this request asked the origin, and the answer is stored.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("/products/7"),
		}, {
			title:  "A hit",
			text:   "From the cache. `ttl` is what is left of the lifetime, in seconds.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(12 * time.Second)
				s.curl("/products/7")
			},
		}, {
			title:  "Collapsed",
			text:   "Another request for it was on its way to the origin, and this one waited for its answer.",
			origin: after(2*time.Second, says("pan", "Cache-Control", "max-age=60")),
			act: func(s *stage) {
				s.say("while another client waits for the same page")
				s.begin("/products/7")
				s.curl("/products/7")
			},
		}, {
			title:  "Another variant",
			text:   "What is stored is for another `Accept-Language` (`vary-miss`); this variant is stored beside it.",
			origin: says("Pfanne", "Cache-Control", "max-age=60", "Vary", "Accept-Language"),
			act: func(s *stage) {
				s.before("-H", "Accept-Language: en", "/products/7")
				s.curl("-H", "Accept-Language: de", "/products/7")
			},
		}, {
			title:  "Validated",
			text:   "What is stored had expired. The origin was asked whether it is still current, said 304, and it is fresh again.",
			origin: validating("pan", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(70 * time.Second)
				s.curl("/products/7")
			},
		}, {
			title:  "Expired and fetched anew",
			text:   "What was stored had expired and had no validator, or had changed.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(70 * time.Second)
				s.curl("/products/7")
			},
		}, {
			title:  "Stale while it is fetched anew",
			text:   "It expired 6 seconds ago (`ttl=-6`), and its `stale-while-revalidate` lets it be given at once; behind this answer one request fetches it anew.",
			origin: after(time.Second, says("pan", "Cache-Control", "max-age=60, stale-while-revalidate=30")),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(65 * time.Second)
				s.curl("/products/7")
				s.wait(2 * time.Second)
			},
		}, {
			title:  "Not modified",
			text:   "The client has it already: its condition is answered from the cache.",
			origin: validating("pan", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.curl("-H", `If-None-Match: "v7"`, "/products/7")
			},
		}, {
			title:  "A range",
			text:   "A part of what is stored whole.",
			origin: says("All work and no play.", "Cache-Control", "max-age=60"),
			act: func(s *stage) {
				s.before("/novel")
				s.curl("-r", "4-7", "/novel")
			},
		}, {
			title:   "A range of what is too large",
			text:    "The file is larger than `max-object-bytes`, and is kept in slices of 1 MiB instead. The first range is told by the origin how large it is, and has a slice of it fetched; the next one in that slice is a hit.",
			origin:  film,
			options: func(o *httpcache.Options) { o.MaxObjectBytes = 2 << 20 },
			act: func(s *stage) {
				s.curl("-r", "2000000-2000011", "/film.mp4")
				s.curl("-r", "2000012-2000021", "/film.mp4")
			},
		}, {
			title:  "The client wants it new",
			text:   "It is stored and fresh, and the client's `no-cache` (`max-age`, `min-fresh`) does not take it (`request`).",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(12 * time.Second)
				s.curl("-H", "Cache-Control: no-cache", "/products/7")
			},
		}, {
			title:  "Too slow to be kept",
			text:   "It was fresh when the origin made it, and may have expired while it was fetched: it goes to those who waited for it and is not stored.",
			origin: after(2*time.Second, says("stock: 4", "Cache-Control", "max-age=1")),
			act:    curl("/products/7/stock"),
		}, {
			title:  "Too large to be kept",
			text:   "Those who come while it arrives still share the one fetch.",
			origin: film, options: func(o *httpcache.Options) { o.MaxObjectBytes = 2 << 20 },
			act: curl("-o", "film.mp4", "/film.mp4"),
		}, {
			title:   "A POST whose content is in its key",
			text:    "The rule has `methods: POST` and `max-content-bytes`. The same content again is a hit.",
			origin:  says("3 pans", "Cache-Control", "max-age=60"),
			options: rule(httpcache.Rule{Path: "/search", Methods: []string{"POST"}, MaxContentBytes: 64 << 10}),
			act: func(s *stage) {
				s.curl("-d", "q=pan", "/search")
				s.curl("-d", "q=pan", "/search")
			},
		},
	}},
	{"For this request alone", "The origin was asked for this request, and its answer went nowhere else. The detail says why. What the answer says (`private`, `no-store`, …) " +
		"also lets later requests for the key go side by side for `pass-ttl`; what the request says (`cookie`, `method`, …) concerns nobody else.", []scene{
		{
			title:  "Private",
			text:   "The origin says that it is for one user.",
			origin: says("your cart", "Cache-Control", "private, max-age=60"),
			act:    curl("/cart"),
		}, {
			title:  "May be shared again",
			text:   "An earlier answer was for one, so requests go by themselves. This one could have been for all; the next will be.",
			origin: says("your cart", "Cache-Control", "private"),
			act: func(s *stage) {
				s.before("/cart")
				s.origin = says("the cart is closed", "Cache-Control", "max-age=60")
				s.curl("/cart")
			},
		}, {
			title:  "A cookie is set",
			text:   "`Set-Cookie` would give one user's session to all. `store-cookies` is for origins that mean it.",
			origin: says("welcome", "Cache-Control", "max-age=60", "Set-Cookie", "session=5f3a"),
			act:    curl("/welcome"),
		}, {
			title:  "No-store",
			text:   "The origin forbids to keep it.",
			origin: says("order 1047", "Cache-Control", "no-store"),
			act:    curl("/checkout"),
		}, {
			title:  "No lifetime",
			text:   "The origin gives none, and nothing to guess one from: most often `Cache-Control` is missing altogether.",
			origin: says("hello"),
			act:    curl("/"),
		}, {
			title:  "A lifetime of zero",
			text:   "It had expired when it was sent (`max-age=0`, or `Expires` in the past).",
			origin: says("stock: 4", "Cache-Control", "max-age=0"),
			act:    curl("/products/7/stock"),
		}, {
			title:  "No-cache",
			text:   "Each use has to be confirmed by the origin. With a validator it is kept for that: the second request asked conditionally and cost the origin no body.",
			origin: validating("your offers", "no-cache"),
			act: func(s *stage) {
				s.curl("/offers")
				s.curl("/offers")
			},
		}, {
			title:  "It varies on everything",
			text:   "`Vary: *`: the answer depends on more than the request.",
			origin: says("pan", "Cache-Control", "max-age=60", "Vary", "*"),
			act:    curl("/products/7"),
		}, {
			title:  "A directive nobody can read",
			text:   "`Cache-Control` breaks the grammar; the broken part may have been `private`.",
			origin: says("pan", "Cache-Control", `max-age=60, "private`),
			act:    curl("/products/7"),
		}, {
			title:  "A status that is not kept",
			text:   "Without a lifetime of its own, a status is kept only where RFC 9110, section 15.1, lets a cache guess one.",
			origin: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/products/7", http.StatusFound) },
			act:    curl("/products/seven"),
		}, {
			title:  "A cookie in the request",
			text:   "Nothing is stored that could answer it, and the page may depend on the cookie, which is not in the key. Requests without one share a fetch all the same, and what they have stored is given to this client too. `ignore-cookies` and `key.cookies` are for origins of which more is known.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-b", "session=5f3a", "/products/7"),
		}, {
			title:  "Authorization",
			text:   "As with cookies. `key.authorization` gives each identity answers of its own.",
			origin: says("your orders", "Cache-Control", "max-age=60"),
			act:    curl("-H", "Authorization: Bearer 81cd", "/orders"),
		}, {
			title:  "The client's no-store",
			text:   "The client forbids to keep its answer.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-H", "Cache-Control: no-store", "/products/7"),
		}, {
			title:  "A method that may change things",
			text:   "It went to the origin, and since it did not fail, what is stored for the address, and for `Location` and `Content-Location` on the same host, is not given any more.",
			origin: says("saved"),
			act:    curl("-X", "PUT", "-d", "price=40", "/products/7"),
		}, {
			title:  "A GET with content",
			text:   "Its content is not in the key and could change the answer.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-X", "GET", "-d", "q=pan", "/products/7"),
		}, {
			title:  "A precondition",
			text:   "`If-Match` and `If-Unmodified-Since` are for the origin to judge.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-H", `If-Match: "v7"`, "/products/7"),
		}, {
			title:  "An upgrade",
			text:   "The client would like to speak another protocol. If the origin agrees, the connection goes through.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "/chat"),
		}, {
			title:   "A rule says bypass",
			text:    "The file has a rule with `bypass: on` for it.",
			origin:  says("your account", "Cache-Control", "max-age=60"),
			options: rule(httpcache.Rule{Path: "/account/*", Bypass: true}),
			act:     curl("/account/7"),
		}, {
			title:   "A path with two readings",
			text:    "There are rules, and servers differ about whether this path is below `/assets/`.",
			origin:  says("your account", "Cache-Control", "max-age=60"),
			options: rule(httpcache.Rule{Path: "/assets/*", TTL: time.Hour}),
			act:     curl("/assets/..%2faccount"),
		}, {
			title: "A range of what cannot be sliced",
			text:  "The file is larger than `max-object-bytes`, and its origin gives it no strong validator by which parts could be put together.",
			origin: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=3600")
				w.Header().Set("Content-Type", "video/mp4")
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("All work and no play.\n", 100_000)))
			},
			options: func(o *httpcache.Options) { o.MaxObjectBytes = 2 << 20 },
			act:     curl("-r", "2000000-2000011", "/film.mp4"),
		},
	}},
	{"When the origin fails", "An old answer where that is allowed, else one error for all who wait, and a rest for the key: for as long as `Retry-After` says, or for a second.", []scene{
		{
			title:  "Stale, for the origin answers with an error",
			text:   "The origin was asked and failed (`fwd-status`); `stale-if-error` lets what is stored stand in. For a second nobody asks it again.",
			origin: says("pan", "Cache-Control", "max-age=60, stale-if-error=600"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(70 * time.Second)
				s.fails()
				s.curl("/products/7")
				s.curl("/products/7")
			},
		}, {
			title:  "Stale, for the origin is gone",
			text:   "Nobody answers at the origin: the cache is *disconnected* (RFC 9111, section 4.2.4), and what is stored is given however old it is, unless a directive forbids that or `stale-if-error` sets a limit.",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act: func(s *stage) {
				s.before("/products/7")
				s.wait(2 * time.Hour)
				s.vanish()
				s.curl("/products/7")
			},
		}, {
			title: "The origin's error",
			text:  "Nothing is stored that could stand in. The request that asked gets the origin's page; who waited, or comes within the second for which the key rests, its status and when to come again.",
			act: func(s *stage) {
				s.fails()
				s.curl("/products/7")
				s.curl("/products/7")
			},
		}, {
			title: "The origin cannot be reached",
			text:  "No connection could be made.",
			act:   curl("/products/7"),
		}, {
			title:  "The origin broke off",
			text:   "It closed without an answer, or what it sent is not HTTP.",
			origin: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			act:    curl("/products/7"),
		}, {
			title:  "The origin hangs",
			text:   "No header came within `load-timeout`, here 30 seconds. The key works again at once.",
			origin: after(time.Hour, says("pan")),
			act:    curl("/products/7"),
		}, {
			title: "The body broke off",
			text:  "The header has been sent, and says what was true then. The connection is cut so that nobody takes a part for the whole, and nothing is stored.",
			origin: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000")
				says("pan", "Cache-Control", "max-age=60")(w, r)
				http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
				panic(http.ErrAbortHandler)
			},
			act: curl("/products/7"),
		},
	}},
	{"Refused", "The origin was not asked for it.", []scene{
		{
			title:  "Only if cached",
			text:   "The client wants an answer from the cache or none (RFC 9111, section 5.2.1.7).",
			origin: says("pan", "Cache-Control", "max-age=60"),
			act:    curl("-H", "Cache-Control: only-if-cached", "/products/7"),
		}, {
			title:   "Too many wait",
			text:    "Over one of the limits on waiting requests, here `max-waiters-per-key: 2`, or no room at the servers of the origin.",
			origin:  after(2*time.Second, says("pan", "Cache-Control", "max-age=60")),
			options: func(o *httpcache.Options) { o.MaxWaitersPerKey = 2 },
			act: func(s *stage) {
				s.say("while two others wait for it")
				s.begin("/products/7")
				s.begin("/products/7")
				s.curl("/products/7")
			},
		}, {
			title:   "Too many addresses",
			text:    "One client made the cache fetch more addresses in a minute than `keys-per-minute`, here 1.",
			origin:  says("pan", "Cache-Control", "max-age=60"),
			options: func(o *httpcache.Options) { o.KeysPerMinute = 1 },
			act: func(s *stage) {
				s.before("/products/7")
				s.curl("/products/8")
			},
		}, {
			title:   "The address is too long",
			text:    "Longer than `max-key-bytes`, here 64.",
			origin:  says("pan"),
			options: func(o *httpcache.Options) { o.MaxKeyBytes = 64 },
			act:     curl("/search?q=a+pan+that+is+large+enough+for+paella+for+twelve"),
		}, {
			title:  "An address that contradicts its connection",
			text:   "It says `https` and came without TLS. The connection is closed: what follows on it may be anything.",
			origin: says("pan"),
			act:    curl("--request-target", "https://shop.example/", "/"),
		},
	}},
}

// details explain each detail that an answer may have.
var details = [][2]string{
	{"method", "Its method is neither GET nor HEAD, and no rule makes it cacheable. 405: it was CONNECT, and this is no tunnel."},
	{"range", "A part of what is too large to be kept, and cannot be kept in slices."},
	{"request-body", "A GET or HEAD with content; or a POST with more than `max-content-bytes` of it."},
	{"upgrade", "It asks for another protocol, or for `*`."},
	{"precondition", "`If-Match` or `If-Unmodified-Since`."},
	{"request-no-store", "The client's `no-store`."},
	{"rule", "A rule with `bypass`."},
	{"ambiguous-path", "There are rules, and servers differ about which path it names."},
	{"unkeyed-field", "In a client's own cache (`NewTransport`): a field, as `X-Forwarded-Host`, that could change the answer for others."},
	{"authorization", "An `Authorization` in the request, and nothing stored that could answer it."},
	{"cookie", "A `Cookie` in the request, and nothing stored that could answer it."},
	{"status", "A status that is not kept, or not without a lifetime."},
	{"partial", "The origin sent a part of something."},
	{"malformed-cache-control", "`Cache-Control` breaks the grammar."},
	{"no-store", "`no-store`."},
	{"private", "`private`."},
	{"set-cookie", "`Set-Cookie`."},
	{"vary", "`Vary: *`, or no list of names; or the fields that it names are too long for a key, or change with every answer."},
	{"no-cache", "`no-cache`."},
	{"no-lifetime", "No lifetime, stated or to be guessed."},
	{"expired", "Expired when it was sent."},
	{"slow-fetch", "Perhaps expired while it was fetched."},
	{"too-large", "Larger than `max-object-bytes`, or than what is left of `max-bytes`."},
	{"origin-failed", "The origin answered with 500, 502, 503, 504 or 429."},
	{"origin-unreachable", "502: no connection to the origin."},
	{"origin-invalid", "502: it closed without an answer, or sent what is not HTTP."},
	{"origin-timeout", "504: no header within `load-timeout`."},
	{"overloaded", "503: over `max-waiters`, `max-waiters-per-key`, the limit of a rule or that of a pool of servers."},
	{"unavailable", "503: no node of the cluster can answer for now."},
	{"remote", "Another node of the cluster gave it: from its cache, or, with `collapsed`, when it had been fetched."},
	{"store", "The store had it, from before a restart or from another process."},
	{"store-pending", "The request changed something, and the store could not be told. It is told when it answers again, and not read before that."},
	{"not-invalidated", "The request changed something, and not all nodes of the cluster have said that they know: what is stored of it may still be given."},
	{"closing", "503: this server is stopping."},
	{"only-if-cached", "504: not in the cache."},
	{"keys-per-minute", "429: over that limit."},
	{"key-too-long", "414: over `max-key-bytes`."},
	{"invalid-request", "400, 421 or 408: the request has no address that can be keyed, or its content broke off or did not come in time."},
	{"internal", "500: a fault of Corral's; the log has it."},
}
