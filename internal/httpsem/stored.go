package httpsem

import (
	"net/http"
	"time"
)

// StoredHeader gives what is kept of the header of a response (RFC 9111, section
// 3.1): not what belongs to the connection, not Age, which is told anew with
// each answer, and not Warning, which RFC 9111, section 5.5, made obsolete. A
// Date that is missing or invalid becomes the time at which the response came
// (RFC 9110, section 6.6.1).
func StoredHeader(response http.Header, received time.Time) http.Header {
	h := response.Clone()
	if h == nil {
		h = http.Header{}
	}
	RemoveHopByHop(h)
	delete(h, "Age")
	delete(h, "Warning")
	h["Date"] = []string{originDate(h, received).UTC().Format(http.TimeFormat)}
	return h
}
