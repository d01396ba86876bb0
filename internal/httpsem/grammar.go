package httpsem

import (
	"iter"
	"strings"
)

// tchar marks the bytes of a token (RFC 9110, section 5.6.2).
var tchar = func() (set [256]bool) {
	const all = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := range len(all) {
		set[all[i]] = true
	}
	return set
}()

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tchar[s[i]] {
			return false
		}
	}
	return s != ""
}

// trim removes optional whitespace (RFC 9110, section 5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

// members yields the members of a list field (RFC 9110, section 5.6.1), trimmed,
// over all its lines. Commas in quoted strings do not separate; empty members
// are skipped. A quoted string that does not end ends with its line.
func members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				end := unquotedIndex(line, ',')
				member := trim(line[:end])
				line = line[min(end+1, len(line)):]
				if member != "" && !yield(member) {
					return
				}
			}
		}
	}
}

// unquotedIndex is the index of the first sep in s that stands outside a quoted
// string (RFC 9110, section 5.6.4), or the length of s.
func unquotedIndex(s string, sep byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == sep:
			return i
		}
	}
	return len(s)
}

// unquote gives the content of a quoted string that is all of s (RFC 9110,
// section 5.6.4).
func unquote(s string) (content string, ok bool) {
	if len(s) < 2 || s[0] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
