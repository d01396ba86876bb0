package httpsem

import (
	"iter"
	"net/http"
	"strings"
)

// A directive is one member of a Cache-Control field (RFC 9111, section 5.2).
type directive struct {
	name     string // lower case
	argument string // without its quotes
	argued   bool   // there was an argument, perhaps an empty one
}

// directives yields the members of all lines of Cache-Control, and whether each
// keeps to the grammar. Token and quoted-string arguments mean the same
// (section 5.2).
func directives(h http.Header) iter.Seq2[directive, bool] {
	return func(yield func(directive, bool) bool) {
		for member := range members(h["Cache-Control"]) {
			if !yield(parseDirective(member)) {
				return
			}
		}
	}
}

// parseDirective reads token [ "=" ( token / quoted-string ) ]. No whitespace is
// allowed around the equals sign (RFC 9111, section 5.2).
func parseDirective(member string) (directive, bool) {
	name, argument, argued := strings.Cut(member, "=")
	d := directive{strings.ToLower(name), argument, argued}
	if !isToken(name) {
		return d, false
	}
	if content, ok := unquote(argument); ok {
		d.argument = content
		return d, true
	}
	return d, argument == "" || isToken(argument)
}
