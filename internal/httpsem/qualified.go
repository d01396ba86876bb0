package httpsem

import (
	"net/http"
	"strings"
)

// qualify takes in a directive that counts for the whole response, or only for
// the fields that its argument lists (RFC 9111, sections 5.2.2.4 and 5.2.2.7).
func qualify(whole *bool, fields *[]string, d directive) {
	names, ok := fieldNames(d.argument)
	if !d.argued || !ok {
		*whole = true
		return
	}
	*fields = append(*fields, names...)
}

// fieldNames reads a list of field names (RFC 9110, section 5.6.1). It is not
// one when it is empty, has a member that is no name, or names a field without
// which the content cannot be read or the response not be selected: a response
// kept without its Content-Encoding or Vary would be a wrong one.
func fieldNames(list string) (names []string, ok bool) {
	for member := range members([]string{list}) {
		name := http.CanonicalHeaderKey(member)
		if !isToken(member) || name == "Vary" || strings.HasPrefix(name, "Content-") {
			return nil, false
		}
		names = append(names, name)
	}
	return names, len(names) > 0
}
