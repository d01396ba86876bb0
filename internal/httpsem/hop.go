package httpsem

import "net/http"

// hopByHop are the fields that belong to one connection (RFC 9110, section
// 7.6.1, and RFC 9111, section 3.1, for the last three). Trailer announces what
// net/http carries apart from the header.
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// endToEnd are fields that Connection cannot name away. RFC 9110, section 7.6.1,
// forbids a sender to do so with any field that is for all recipients; these
// decide who may have a response, and would be the ones to try.
var endToEnd = map[string]bool{
	"Age": true, "Authorization": true, "Cache-Control": true, "Cookie": true, "Date": true,
	"Expires": true, "Set-Cookie": true, "Set-Cookie2": true, "Vary": true,
}

// RemoveHopByHop takes out of a header, of a request or a response, the fields
// that belong to the connection it came by and those that Connection names.
func RemoveHopByHop(h http.Header) {
	for member := range members(h["Connection"]) {
		if name := http.CanonicalHeaderKey(member); !endToEnd[name] {
			delete(h, name)
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}
