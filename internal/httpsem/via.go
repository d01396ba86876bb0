package httpsem

import (
	"net/http"
	"strconv"
)

// AppendVia notes in a header that a message came through here: the version by
// which it was received and the cache's name, a token (RFC 9110, section
// 7.6.3). A proxy does so in both directions, a gateway in requests.
func AppendVia(h http.Header, major, minor int, name string) {
	version := strconv.Itoa(major)
	if major < 2 {
		version += "." + strconv.Itoa(minor)
	}
	h["Via"] = append(h["Via"], version+" "+name)
}
