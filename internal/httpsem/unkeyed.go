package httpsem

import (
	"net/http"
	"strings"
)

// unkeyed are request fields by which origins and frameworks let a client change
// the answer, although they are not in the key and no Vary names them: another
// host, another path, another method, another client address.
var unkeyed = map[string]bool{
	"base-url": true, "cf-connecting-ip": true, "client-ip": true, "fastly-client-ip": true,
	"forwarded": true, "front-end-https": true, "proxy": true, "true-client-ip": true,
	"x-backend-host": true, "x-client-ip": true, "x-cluster-client-ip": true, "x-forwarded": true,
	"x-host": true, "x-http-destinationurl": true, "x-http-host-override": true,
	"x-http-method": true, "x-http-method-override": true, "x-method-override": true,
	"x-middleware-subrequest": true, "x-proxy-url": true, "x-real-ip": true, "x-remote-addr": true,
	"x-remote-ip": true, "x-scheme": true, "x-url-scheme": true,
}

// unkeyedPrefixes begin the names of whole families of such fields.
var unkeyedPrefixes = [...]string{"x-forwarded-", "x-original-", "x-rewrite-"}

// framing are the fields that say where a request ends. With an underscore they
// are others, but not to everybody.
var framing = map[string]bool{"content-length": true, "transfer-encoding": true}

// Unkeyed reports whether a request field must not reach the origin on a fetch
// whose answer is shared. An underscore counts as a hyphen, because CGI and its
// heirs cannot tell them apart.
func Unkeyed(name string) bool {
	name = strings.ToLower(name)
	if hyphened := strings.ReplaceAll(name, "_", "-"); hyphened != name {
		if framing[hyphened] {
			return true
		}
		name = hyphened
	}
	for _, prefix := range unkeyedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return unkeyed[name]
}

// RemoveUnkeyed takes such fields out of a request. What the cache itself tells
// the origin, such as the scheme, is set afterwards, and only what is in the
// key or the same for every client.
func RemoveUnkeyed(request http.Header) {
	for name := range request {
		if Unkeyed(name) {
			delete(request, name)
		}
	}
}
