package httpsem

import "net/http"

// Freshen gives the header of a stored response after a 304 has confirmed it
// (RFC 9111, sections 3.2 and 4.3.4): each field of the 304 replaces the stored
// one, but for hop-by-hop fields and those by which the stored body is framed
// and coded. Date and Age are the 304's alone, since the old ones would count
// time twice.
//
// The result is to be judged again, with the status of the stored response and
// the times of the validation: a 304 may say private, or set a cookie.
func Freshen(stored, update http.Header) http.Header {
	h, update := stored.Clone(), update.Clone()
	RemoveHopByHop(update)
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Content-Range"} {
		delete(update, name)
	}
	delete(h, "Date")
	delete(h, "Age")
	for name, lines := range update {
		h[name] = lines
	}
	return h
}

// FreshenByHead gives the header of a stored response to GET after a HEAD for
// the same target, with the same selecting fields, came back with 200 (RFC
// 9111, section 4.3.5): as Freshen makes it, and to be judged again like it.
//
// It is not ok when the answer is about another representation, by an ETag or
// Last-Modified that it has and the stored response has not, or by another
// Content-Length. The stored response then counts as stale from now on, and may
// still be validated. Where the origin sent none, the caller sets the stored
// Content-Length from the content that it holds.
func FreshenByHead(stored, head http.Header) (updated http.Header, ok bool) {
	for _, name := range [...]string{"Etag", "Last-Modified", "Content-Length"} {
		if has(head, name) && !sameOnly(stored[name], head[name]) {
			return nil, false
		}
	}
	return Freshen(stored, head), true
}

// sameOnly reports whether a field stands once in both headers, with the same
// value.
func sameOnly(a, b []string) bool {
	return len(a) == 1 && len(b) == 1 && trim(a[0]) == trim(b[0])
}
