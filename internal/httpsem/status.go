package httpsem

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// A Fwd says why a request went towards the origin (RFC 9211, section 2.2).
type Fwd string

const (
	FwdBypass   Fwd = "bypass"    // the cache was told not to handle it
	FwdMethod   Fwd = "method"    // the method's semantics demand it
	FwdURIMiss  Fwd = "uri-miss"  // nothing is stored for the target
	FwdVaryMiss Fwd = "vary-miss" // stored responses have other selecting fields
	FwdMiss     Fwd = "miss"      // nothing stored matches, one way or the other
	FwdRequest  Fwd = "request"   // a fresh response is stored and the request's directives refuse it
	FwdStale    Fwd = "stale"     // what is stored is stale
	FwdPartial  Fwd = "partial"   // what is stored has only a part of the range
)

// A Status is how a cache handled a request: its member of Cache-Status (RFC
// 9211, section 2). The zero value of each field leaves its parameter out.
type Status struct {
	Cache string // the cache's name
	Hit   bool   // answered without going forward; excludes Fwd
	Fwd   Fwd
	// FwdStatus is the status code that came back, where it differs from the
	// one that was sent on, as with a 304 that freshened a stored 200.
	FwdStatus int
	// TTL is what is left of the response's lifetime, negative when it is
	// stale; told, in whole seconds rounded down, when HasTTL.
	TTL       time.Duration
	HasTTL    bool
	Stored    bool // the response was stored
	Collapsed bool // the request waited for another's
	Key       string
	Detail    string
}

// String gives the member in the notation of structured fields (RFC 9651). Bytes
// that its strings cannot carry are percent-encoded.
func (s Status) String() string {
	item := httpsfv.NewItem(word(s.Cache))
	if s.Hit {
		item.Params.Add("hit", true)
	} else if s.Fwd != "" {
		item.Params.Add("fwd", word(string(s.Fwd)))
	}
	if s.FwdStatus != 0 {
		item.Params.Add("fwd-status", s.FwdStatus)
	}
	if s.HasTTL {
		item.Params.Add("ttl", int64(math.Floor(s.TTL.Seconds())))
	}
	if s.Stored {
		item.Params.Add("stored", true)
	}
	if s.Collapsed {
		item.Params.Add("collapsed", true)
	}
	if s.Key != "" {
		item.Params.Add("key", printable(s.Key))
	}
	if s.Detail != "" {
		item.Params.Add("detail", word(s.Detail))
	}
	text, _ := httpsfv.Marshal(httpsfv.List{item}) // word and printable leave nothing to refuse
	return text
}

// AppendStatus adds a member to the Cache-Status of a response, after those of
// the caches that are nearer to the origin (RFC 9211, section 2). What came is
// kept byte for byte; a field that is not a list means nothing as a whole (RFC
// 9651, section 4.2) and goes.
func AppendStatus(response http.Header, s Status) {
	ours := s.String()
	lines := append(slices.Clip(response["Cache-Status"]), ours)
	if len(lines) > 1 {
		if _, err := httpsfv.UnmarshalList(lines); err != nil {
			lines = []string{ours}
		}
	}
	response["Cache-Status"] = lines
}

// word gives a token where the text is one, else a string.
func word(s string) any {
	if isToken(s) && (s[0] == '*' || s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z') {
		return httpsfv.Token(s)
	}
	return printable(s)
}

func printable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
