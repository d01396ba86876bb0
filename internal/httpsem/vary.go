package httpsem

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A Vary says which fields of the request chose a response (RFC 9110, section
// 12.5.5, RFC 9111, section 4.1). The zero value is a response that depends on
// none.
type Vary struct {
	// Any says that the response answers no other request: Vary is "*", or
	// has a member that is not a field name.
	Any bool
	// Fields are the names, in lower case, sorted, each once.
	Fields []string
}

// ParseVary reads all lines of Vary.
func ParseVary(h http.Header) Vary {
	var v Vary
	for member := range members(h["Vary"]) {
		if member == "*" || !isToken(member) {
			return Vary{Any: true}
		}
		v.Fields = append(v.Fields, strings.ToLower(member))
	}
	slices.Sort(v.Fields)
	v.Fields = slices.Compact(v.Fields)
	return v
}

// Names reports whether a field, in lower case, is among those that chose the
// response.
func (v Vary) Names(field string) bool { return slices.Contains(v.Fields, field) }

// Matches reports whether two requests select the same response (RFC 9111,
// section 4.1). Never, for Vary: *.
func (v Vary) Matches(a, b http.Header) bool {
	return !v.Any && v.Selecting(a) == v.Selecting(b)
}

// Selecting gives the bytes that the fields of Vary add to a key: equal for two
// requests exactly when they match. Pass the header as it is sent to the
// origin: what it never sees cannot have chosen anything.
//
// A field that is absent matches only where it is absent (section 4.1). Lines
// of one name are combined and whitespace at their ends is removed; within a
// value only the negotiation fields lose whitespace, whose syntax is known to
// allow it. Lengths stand before values, so that no value can imitate another
// set of fields.
func (v Vary) Selecting(h http.Header) string {
	var b strings.Builder
	for _, field := range v.Fields {
		b.WriteString(field)
		lines := h[http.CanonicalHeaderKey(field)]
		if len(lines) == 0 {
			b.WriteString("!\n")
			continue
		}
		value := combine(field, lines)
		b.WriteByte('=')
		b.WriteString(strconv.Itoa(len(value)))
		b.WriteByte(':')
		b.WriteString(value)
		b.WriteByte('\n')
	}
	return b.String()
}

func combine(field string, lines []string) string {
	switch field {
	case "accept", "accept-charset", "accept-encoding", "accept-language":
		return strings.Join(slices.Collect(compact(lines)), ",")
	}
	trimmed := make([]string, len(lines))
	for i, line := range lines {
		trimmed[i] = trim(line)
	}
	return strings.Join(trimmed, ", ")
}

// compact yields the members of a negotiation field without the whitespace
// around the semicolons of their parameters (RFC 9110, sections 5.6.6 and
// 12.4.2).
func compact(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for member := range members(lines) {
			var b strings.Builder
			for {
				end := unquotedIndex(member, ';')
				b.WriteString(trim(member[:end]))
				if end == len(member) {
					break
				}
				b.WriteByte(';')
				member = member[end+1:]
			}
			if !yield(b.String()) {
				return
			}
		}
	}
}
