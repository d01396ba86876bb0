package httpcache

import (
	"net/http"
	"strings"
)

// tidy takes the spaces out of an answer's field names that stand before the
// colon, as a proxy has to (RFC 9112, section 5.1). net/http keeps them, as part
// of the name: a "Cache-Control : private" would count for nothing. A name with
// spaces inside is none and goes. It is not ok when such a field says where the
// body ends, for net/http has looked for the end elsewhere.
func tidy(h http.Header) (ok bool) {
	ok = true
	for name, values := range h {
		trimmed := strings.TrimRight(name, " ")
		if trimmed == name && isToken(name) {
			continue
		}
		delete(h, name)
		if !isToken(trimmed) {
			continue
		}
		switch trimmed = http.CanonicalHeaderKey(trimmed); trimmed {
		case "Content-Length", "Transfer-Encoding":
			ok = false
		default:
			h[trimmed] = append(h[trimmed], values...)
		}
	}
	return ok
}
