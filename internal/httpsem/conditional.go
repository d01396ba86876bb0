package httpsem

import (
	"net/http"
	"time"
)

// NotModified reports whether a stored response that may answer a request is to
// answer it with 304, by the request's own conditions (RFC 9111, section 4.3.2,
// RFC 9110, sections 13.1.2, 13.1.3 and 13.2). If-None-Match, when there, alone
// decides. Conditions count only where the answer would otherwise be a success
// (RFC 9110, section 13.2.1).
func NotModified(method string, request http.Header, status int, stored http.Header) bool {
	if method != http.MethodGet && method != http.MethodHead || status < 200 || status > 299 {
		return false
	}
	if lines := request["If-None-Match"]; len(lines) > 0 {
		if len(lines) == 1 && trim(lines[0]) == "*" {
			return true
		}
		tag, ok := storedETag(stored["Etag"])
		return ok && listsETag(lines, tag)
	}
	return notModifiedSince(request["If-Modified-Since"], stored)
}

// notModifiedSince compares with Last-Modified, else with Date (RFC 9111,
// section 4.3.2). StoredHeader has seen to it that there is a Date.
func notModifiedSince(lines []string, stored http.Header) bool {
	if len(lines) != 1 {
		return false
	}
	made := originDate(stored, time.Time{})
	if made.IsZero() {
		return false
	}
	since, ok := parseDate(trim(lines[0]), made)
	if !ok {
		return false
	}
	if modified := stored["Last-Modified"]; len(modified) > 0 {
		changed, ok := parseDate(modified[0], made)
		return ok && !changed.After(since)
	}
	return !made.After(since)
}

// NotModifiedHeader gives the fields of a 304 made from a stored response (RFC
// 9110, section 15.4.5): all of its fields but those that describe the content
// that is not sent. Last-Modified stays only where there is no ETag to serve
// as the validator.
func NotModifiedHeader(stored http.Header) http.Header {
	h := stored.Clone()
	for _, name := range [...]string{
		"Content-Digest", "Content-Encoding", "Content-Language", "Content-Length",
		"Content-Md5", "Content-Range", "Content-Type", "Repr-Digest", "Trailer",
	} {
		delete(h, name)
	}
	if has(h, "Etag") {
		delete(h, "Last-Modified")
	}
	return h
}
