package httpsem

import (
	"net/url"
	"strings"
)

// Direct points a target at a server: below the server's own path, and byte for
// byte as it was.
func Direct(target, server *url.URL) {
	target.Scheme, target.Host = server.Scheme, server.Host
	raw, plain := server.EscapedPath(), server.Path
	if strings.HasSuffix(raw, "/") { // and not %2F
		raw, plain = strings.TrimSuffix(raw, "/"), strings.TrimSuffix(plain, "/")
	}
	if raw != "" && target.Opaque == "" {
		target.RawPath = raw + target.EscapedPath()
		target.Path = plain + target.Path
	}
}
