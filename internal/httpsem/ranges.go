package httpsem

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// MaxSpans is how many ranges a request may name. One that names more is
// answered with the whole (RFC 9110, section 14.2): each of them costs a part's
// header, for which a client that wants the content has no use.
const MaxSpans = 16

// spanGap is the number of bytes between two spans below which they become one:
// about what the header of another part costs (RFC 9110, section 15.3.7.2).
const spanGap = 80

// A Span is a part of a content: Length bytes, at least one, from Start on.
type Span struct{ Start, Length int64 }

// end is the first byte after a span.
func (s Span) end() int64 { return s.Start + s.Length }

// Select says how a stored 200 with a whole content answers a GET that may ask
// for parts of it (RFC 9110, section 14.2), after NotModified has found that
// its other conditions hold (section 13.2.2). The code is
//
//   - 206, with the spans to send: in ascending order, those that touch or
//     nearly touch joined. More than one need a Multipart.
//   - 416, when no range that it asks for is there.
//   - 200, for the whole: no Range, one that breaks the grammar or has another
//     unit, an If-Range that does not hold, more than MaxSpans ranges or some
//     that are not in ascending order.
//
// The size is the content's in bytes. While it is not known yet, −1, nothing
// can be said of a range, and of an empty content there is no part that a
// Content-Range could describe: 200. Range is defined for GET alone; for
// another method there is nothing to select.
func Select(request, stored http.Header, size int64) (spans []Span, code int) {
	lines := request["Range"]
	if len(lines) != 1 || size < 1 || !rangeHolds(request["If-Range"], stored) {
		return nil, http.StatusOK
	}
	spans, ok := parseRange(lines[0], size)
	switch {
	case !ok:
		return nil, http.StatusOK
	case len(spans) == 0:
		return nil, http.StatusRequestedRangeNotSatisfiable
	}
	return joinSpans(spans, spanGap), http.StatusPartialContent
}

// rangeHolds reports whether If-Range, when it is there, names the stored
// response (RFC 9110, section 13.1.5): by a strong entity tag, or by exactly
// its Last-Modified where that is a strong validator.
func rangeHolds(lines []string, stored http.Header) bool {
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	named := trim(lines[0])
	if tag, rest, ok := cutETag(named); ok {
		kept, tagged := storedETag(stored["Etag"])
		return rest == "" && tagged && strongMatch(tag, kept)
	}
	modified, ok := strongDate(stored)
	return ok && named == modified
}

// strongDate gives the Last-Modified of a stored response if it is a strong
// validator: a second or more before its Date (RFC 9110, section 8.8.2.2).
func strongDate(stored http.Header) (date string, ok bool) {
	lines, made := stored["Last-Modified"], originDate(stored, time.Time{})
	if len(lines) != 1 {
		return "", false
	}
	modified, ok := parseDate(trim(lines[0]), made)
	return trim(lines[0]), ok && made.Sub(modified) >= time.Second
}

// parseRange reads a set of byte ranges and gives those that a content of this
// size satisfies (RFC 9110, sections 14.1.1 and 14.1.2). It is not ok when the
// field is not to be followed.
func parseRange(field string, size int64) (spans []Span, ok bool) {
	unit, set, found := strings.Cut(field, "=")
	if !found || !strings.EqualFold(unit, "bytes") {
		return nil, false
	}
	count := 0
	for member := range members([]string{set}) {
		first, last, valid := parseBounds(member, size)
		if count++; !valid || count > MaxSpans {
			return nil, false
		}
		switch last = min(last, size-1); {
		case first > last:
			continue
		case len(spans) > 0 && first < spans[len(spans)-1].Start:
			return nil, false
		}
		spans = append(spans, Span{first, last - first + 1})
	}
	return spans, count > 0
}

// parseBounds reads an int-range or a suffix-range.
func parseBounds(member string, size int64) (first, last int64, ok bool) {
	from, to, found := strings.Cut(member, "-")
	if !found {
		return 0, 0, false
	}
	if from == "" {
		length, ok := parsePosition(to)
		return max(size-length, 0), math.MaxInt64, ok
	}
	first, ok = parsePosition(from)
	if to == "" {
		return first, math.MaxInt64, ok
	}
	last, valid := parsePosition(to)
	return first, last, ok && valid && first <= last
}

// parsePosition reads digits; a number beyond an int64 is its greatest.
func parsePosition(s string) (position int64, ok bool) {
	for i := range len(s) {
		digit := int64(s[i]) - '0'
		if digit < 0 || digit > 9 {
			return 0, false
		}
		if position > (math.MaxInt64-digit)/10 {
			position = math.MaxInt64
			continue
		}
		position = position*10 + digit
	}
	return position, s != ""
}

// joinSpans makes one of spans that overlap or whose gap is shorter than
// gap bytes (RFC 9110, section 15.3.7.2). The spans are in ascending order.
func joinSpans(spans []Span, gap int64) []Span {
	joined := spans[:1]
	for _, next := range spans[1:] {
		last := &joined[len(joined)-1]
		if next.Start-last.end() >= gap {
			joined = append(joined, next)
			continue
		}
		last.Length = max(last.end(), next.end()) - last.Start
	}
	return joined
}
