package httpsem

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// Parts are what is there of a content of which a 206, or a 200 that broke off,
// brought some (RFC 9111, sections 3.3 and 3.4).
type Parts struct {
	// Header is that of a 200 with the whole content, as StoredHeader gives
	// it: without Content-Range, and with Content-Length once it is Whole. It
	// is what to judge as a 200.
	Header http.Header
	Spans  []Span // at least one, in ascending order; they neither overlap nor touch
	Size   int64  // of the whole content; −1 while nobody told it
}

// Whole reports whether nothing is missing. The response then is a complete 200
// (RFC 9110, section 15.3.7.3).
func (p *Parts) Whole() bool { return len(p.Spans) == 1 && p.Spans[0] == (Span{0, p.Size}) }

// PartsOf gives what a 206 brings, by its header as StoredHeader gives it. It is
// not ok for several spans in one answer, which need a reader of multiparts,
// and for a Content-Range that is invalid or that Content-Length contradicts.
func PartsOf(partial http.Header) (p Parts, ok bool) {
	lines := partial["Content-Range"]
	if len(lines) != 1 {
		return Parts{}, false
	}
	span, size, ok := ParseContentRange(lines[0])
	length := strconv.FormatInt(span.Length, 10)
	if !ok || has(partial, "Content-Length") && !sameOnly(partial["Content-Length"], []string{length}) {
		return Parts{}, false
	}
	p = Parts{Header: partial.Clone(), Spans: []Span{span}, Size: size}
	delete(p.Header, "Content-Range")
	p.length()
	return p, true
}

// Combine gives the union of what is stored and what came later (RFC 9111,
// section 3.4, RFC 9110, section 15.3.7.3): the newer fields replace the stored
// ones, as Freshen has it. Where spans overlap, their bytes are the same.
//
// It is not ok unless both have the same strong validator, if they disagree
// about the size, or if what comes together has more than MaxSpans gaps. Then
// what came later stands alone, in place of what is stored.
func Combine(stored, later Parts) (combined Parts, ok bool) {
	if !sameStrongValidator(stored.Header, later.Header) {
		return Parts{}, false
	}
	size := max(stored.Size, later.Size)
	if min(stored.Size, later.Size) >= 0 && stored.Size != later.Size {
		return Parts{}, false
	}
	spans := slices.Concat(stored.Spans, later.Spans)
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	spans = joinSpans(spans, 1)
	if len(spans) > MaxSpans || size >= 0 && spans[len(spans)-1].end() > size {
		return Parts{}, false
	}
	combined = Parts{Header: Freshen(stored.Header, later.Header), Spans: spans, Size: size}
	combined.length()
	return combined, true
}

// length sets Content-Length where the content is whole, and takes out that of
// a part.
func (p *Parts) length() {
	delete(p.Header, "Content-Length")
	if p.Whole() {
		p.Header["Content-Length"] = []string{strconv.FormatInt(p.Size, 10)}
	}
}

// sameStrongValidator reports whether two responses are the same byte for byte
// (RFC 9110, section 8.8.1): by strong entity tags where either has a tag, else
// by dates that are strong in both.
func sameStrongValidator(a, b http.Header) bool {
	if has(a, "Etag") || has(b, "Etag") {
		one, okOne := storedETag(a["Etag"])
		other, okOther := storedETag(b["Etag"])
		return okOne && okOther && strongMatch(one, other)
	}
	one, okOne := strongDate(a)
	other, okOther := strongDate(b)
	return okOne && okOther && one == other
}
