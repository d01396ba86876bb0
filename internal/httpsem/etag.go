package httpsem

import "strings"

// cutETag takes an entity tag off the front of s (RFC 9110, section 8.8.3). A
// backslash in it escapes nothing.
func cutETag(s string) (tag, rest string, ok bool) {
	start := 0
	if strings.HasPrefix(s, "W/") {
		start = 2
	}
	if len(s) <= start || s[start] != '"' {
		return "", s, false
	}
	for i := start + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:], true
		case c <= ' ' || c == 0x7f:
			return "", s, false
		}
	}
	return "", s, false
}

// storedETag gives the only, valid, entity tag of a response.
func storedETag(lines []string) (tag string, ok bool) {
	if len(lines) != 1 {
		return "", false
	}
	tag, rest, ok := cutETag(trim(lines[0]))
	return tag, ok && rest == ""
}

// weakMatch is weak comparison (RFC 9110, section 8.8.3.2).
func weakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

// strongMatch is strong comparison (RFC 9110, section 8.8.3.2): what is weak
// matches nothing.
func strongMatch(a, b string) bool { return a == b && a[0] == '"' }

// listsETag reports whether an If-None-Match field names a tag by weak comparison
// (RFC 9110, section 13.1.2). A list that breaks the grammar counts up to
// there.
func listsETag(lines []string, tag string) bool {
	for _, line := range lines {
		for {
			line = strings.TrimLeft(line, " \t,")
			listed, rest, ok := cutETag(line)
			if !ok {
				break
			}
			if weakMatch(listed, tag) {
				return true
			}
			line = rest
		}
	}
	return false
}
