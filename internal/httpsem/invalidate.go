package httpsem

import "net/http"

// Invalidated gives the keys, for GET, that an answer from the origin makes
// invalid (RFC 9111, section 4.4): the target of an unsafe request that did not
// fail, and what its Location and Content-Location name on the same origin. All
// variants of such a key are meant, and its HEAD. A method that is not known to
// be safe is unsafe.
func Invalidated(request Key, status int, response http.Header) []Key {
	if safe(request.Method) || status < 200 || status > 399 {
		return nil
	}
	keys := []Key{request.As(http.MethodGet)}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, line := range response[name] {
			if key, ok := sameOrigin(request, line); ok && key != keys[0] {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// safe reports whether a method is safe (RFC 9110, section 9.2.1).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// sameOrigin resolves a reference against a request and gives its key when it
// has the request's scheme, host and port (RFC 9110, section 4.3.1).
func sameOrigin(request Key, reference string) (Key, bool) {
	base := request.URL()
	base.Scheme, base.Host = request.Scheme, request.Host
	u, err := base.Parse(trim(reference))
	if err != nil || u.Opaque != "" {
		return Key{}, false
	}
	key, err := NewKey(http.MethodGet, u.Scheme, u.Host, u.RequestURI())
	return key, err == nil && key.Scheme == request.Scheme && key.Host == request.Host
}
