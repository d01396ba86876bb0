package httpsem

import (
	"net/http"
	"time"
)

// RemoveConditions takes the client's own conditions and ranges out of a request
// that is going to be shared: the origin's answer has to be whole, whatever the
// client already has (RFC 9111, section 4.3.1).
func RemoveConditions(request http.Header) {
	for _, name := range [...]string{
		"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range",
	} {
		delete(request, name)
	}
}

// AddValidators makes a request ask whether a stored response is still current
// (RFC 9111, section 4.3.1): If-None-Match with its ETag and If-Modified-Since
// with its Last-Modified, each byte for byte, in place of the client's own
// conditions. It reports whether the response had a validator; without one the
// request is unconditional.
func AddValidators(request, stored http.Header) bool {
	RemoveConditions(request)
	tag, modified := validators(stored)
	if tag != "" {
		request["If-None-Match"] = []string{tag}
	}
	if modified != "" {
		request["If-Modified-Since"] = []string{modified}
	}
	return tag != "" || modified != ""
}

// validators gives the ETag and the Last-Modified by which a response can be
// validated, empty where it is not there once and valid.
func validators(stored http.Header) (tag, modified string) {
	if only, ok := storedETag(stored["Etag"]); ok {
		tag = only
	}
	if lines := stored["Last-Modified"]; len(lines) == 1 {
		if _, ok := parseDate(lines[0], originDate(stored, time.Time{})); ok {
			modified = lines[0]
		}
	}
	return tag, modified
}

// validatable reports whether a response has a validator.
func validatable(stored http.Header) bool {
	tag, modified := validators(stored)
	return tag != "" || modified != ""
}

// Confirms reports whether a 304, sent in answer to AddValidators, is about this
// stored response (RFC 9111, section 4.3.4): the validators that it names are
// the stored ones, a strong one by strong comparison. If it does not, the
// origin's answer is of no use and the request is to be repeated without
// validators.
func Confirms(stored, update http.Header) bool {
	if lines := update["Etag"]; len(lines) > 0 {
		named, ok := storedETag(lines)
		kept, tagged := storedETag(stored["Etag"])
		return ok && tagged && (named == kept || named[0] == 'W' && weakMatch(named, kept))
	}
	if lines := update["Last-Modified"]; len(lines) > 0 && has(stored, "Last-Modified") {
		return lines[0] == stored["Last-Modified"][0]
	}
	return true
}
