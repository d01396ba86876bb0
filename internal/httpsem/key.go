package httpsem

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The errors of NewKey. All of them are the client's: 400, and 421 for
// ErrMisdirected (RFC 9110, section 15.5.20).
var (
	ErrHost        = errors.New("httpsem: invalid host")
	ErrTarget      = errors.New("httpsem: invalid request target")
	ErrMisdirected = errors.New("httpsem: request target and connection disagree")
)

// A Key is what a request asks for (RFC 9111, section 2), without the fields
// that Vary may add. Two requests whose keys differ in a byte are two requests.
type Key struct {
	Method string // GET and HEAD have entries of their own; a stored GET answers a HEAD as well
	Scheme string // http or https
	Host   string // in its one spelling: lower case, no default port, no final dot
	Target string // path and query, exactly as they are sent to the origin
}

// NewKey gives the key of a request that came by a scheme (http or https), with
// a Host and a request target as they stood on the wire (http.Request.Host and
// RequestURI). Nothing in path or query is resolved, decoded or sorted: what
// /a/../b or %2F means is the origin's to say. Bytes that a path cannot have are
// percent-encoded. What is sent on is URL, which has the bytes of the key.
//
// A target in absolute form (RFC 9112, section 3.2.2) must name the scheme and,
// where there is one, the Host; otherwise the error is ErrMisdirected.
func NewKey(method, scheme, host, target string) (Key, error) {
	if scheme != "http" && scheme != "https" {
		return Key{}, fmt.Errorf("%w: scheme %q is neither http nor https", ErrTarget, scheme)
	}
	if !strings.HasPrefix(target, "/") {
		authority, rest, err := splitAbsolute(scheme, target)
		if err != nil {
			return Key{}, err
		}
		if host == "" {
			host = authority
		}
		if err := sameHost(scheme, host, authority); err != nil {
			return Key{}, err
		}
		target = rest
	}
	host, err := normalHost(scheme, host)
	if err != nil {
		return Key{}, err
	}
	target, err = sentTarget(target)
	if err != nil {
		return Key{}, err
	}
	return Key{method, scheme, host, target}, nil
}

// splitAbsolute cuts a target in absolute form into authority and origin form.
func splitAbsolute(scheme, target string) (authority, rest string, err error) {
	named, after, found := strings.Cut(target, "://")
	if !found {
		return "", "", fmt.Errorf("%w %q: neither a path nor a URL", ErrTarget, target)
	}
	if !strings.EqualFold(named, scheme) {
		return "", "", fmt.Errorf("%w: target %q came by %s", ErrMisdirected, target, scheme)
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		return after, "/", nil
	}
	if after[end] != '/' {
		return after[:end], "/" + after[end:], nil
	}
	return after[:end], after[end:], nil
}

func sameHost(scheme, host, authority string) error {
	a, err := normalHost(scheme, host)
	if err != nil {
		return err
	}
	b, err := normalHost(scheme, authority)
	if err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("%w: target names %q, Host %q", ErrMisdirected, authority, host)
	}
	return nil
}

// sentTarget gives path and query as they are sent on.
func sentTarget(target string) (string, error) {
	end := strings.IndexByte(target, '?')
	if end < 0 {
		end = len(target)
	}
	encoded := 0
	for i := range end {
		switch c := target[i]; {
		case pathBytes[c]:
		case c <= ' ' || c == 0x7f || c == '#':
			return "", fmt.Errorf("%w %q: byte %q at %d", ErrTarget, target, c, i)
		case c != '%':
			encoded++
		case !(i+2 < end && isHex(target[i+1]) && isHex(target[i+2])):
			return "", fmt.Errorf("%w %q: a percent sign without two hexadecimal digits", ErrTarget, target)
		}
	}
	for i := end; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return "", fmt.Errorf("%w %q: byte %q at %d", ErrTarget, target, c, i)
		}
	}
	if encoded == 0 {
		return target, nil
	}
	return encodePath(target[:end], encoded) + target[end:], nil
}

// encodePath percent-encodes the bytes that a path cannot have, and leaves what
// is encoded as it is. Not by net/url: in such a path it would turn %2F into a
// slash.
func encodePath(path string, encoded int) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+2*encoded)
	for i := range len(path) {
		if c := path[i]; pathBytes[c] || c == '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// pathBytes marks the bytes of a path that net/url sends as they are: slash and
// pchar (RFC 3986, section 3.3), and the brackets, which it lets through. Percent
// is apart: it has to begin an encoded byte.
var pathBytes = func() (set [256]bool) {
	set = tchar
	for _, c := range []byte("(),;=:@/[]") {
		set[c] = true
	}
	for _, c := range []byte("#%^`|") {
		set[c] = false
	}
	return set
}()

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// As gives the key of another method on the same target.
func (k Key) As(method string) Key {
	k.Method = method
	return k
}

// String gives the key as one text, different for every two keys. It has no
// line feed, so that the text of Vary.Selecting can follow one.
func (k Key) String() string { return k.Method + " " + k.Scheme + "://" + k.Host + k.Target }

// Append appends the text of String.
func (k Key) Append(b []byte) []byte {
	b = append(append(b, k.Method...), ' ')
	b = append(append(b, k.Scheme...), "://"...)
	return append(append(b, k.Host...), k.Target...)
}

// URL gives the target as a URL, without scheme and host, whose RequestURI is
// byte for byte Target.
func (k Key) URL() *url.URL {
	raw, query, found := strings.Cut(k.Target, "?")
	path, err := url.PathUnescape(raw)
	if err != nil {
		path = raw
	}
	return &url.URL{Path: path, RawPath: raw, RawQuery: query, ForceQuery: found && query == ""}
}
