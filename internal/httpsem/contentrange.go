package httpsem

import (
	"math"
	"strconv"
	"strings"
)

// ContentRange gives the field by which a part tells its place (RFC 9110,
// section 14.4). A size of −1 is one that is not known.
func ContentRange(s Span, size int64) string {
	return "bytes " + strconv.FormatInt(s.Start, 10) + "-" + strconv.FormatInt(s.end()-1, 10) + "/" + formatSize(size)
}

// Unsatisfied gives the Content-Range of a 416 (RFC 9110, section 15.5.17).
func Unsatisfied(size int64) string { return "bytes */" + formatSize(size) }

func formatSize(size int64) string {
	if size < 0 {
		return "*"
	}
	return strconv.FormatInt(size, 10)
}

// ParseContentRange reads the Content-Range of a single part (RFC 9110, section
// 14.4). The size is −1 where the origin did not know it. It is not ok when the
// field is not about bytes, has no range, contradicts itself or goes beyond an int64.
func ParseContentRange(field string) (s Span, size int64, ok bool) {
	unit, rest, found := strings.Cut(field, " ")
	bounds, full, complete := strings.Cut(rest, "/")
	from, to, ranged := strings.Cut(bounds, "-")
	if !found || !complete || !ranged || !strings.EqualFold(unit, "bytes") {
		return Span{}, 0, false
	}
	first, okFirst := parsePosition(from)
	last, okLast := parsePosition(to)
	size, okSize := parsePosition(full)
	if full == "*" {
		size, okSize = -1, true
	}
	if !okFirst || !okLast || !okSize || first > last || last == math.MaxInt64 || size == math.MaxInt64 || size >= 0 && last >= size {
		return Span{}, 0, false
	}
	return Span{first, last - first + 1}, size, true
}
