package httpsem

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxHost is the longest host that is accepted, in bytes without its port: the
// longest name that DNS can carry.
const maxHost = 253

// normalHost gives the one spelling of a host with optional port (RFC 9110,
// section 4.2.3, RFC 3986, sections 3.2.2 and 6.2): lower case, without the
// scheme's default port or an empty one, without the dot that ends a fully
// qualified name.
func normalHost(scheme, host string) (string, error) {
	name, port, err := splitPort(host)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(name, "[") {
		name, err = normalIPv6(name)
	} else {
		name, err = normalName(name)
	}
	if err != nil {
		return "", fmt.Errorf("%w %q: %v", ErrHost, host, err)
	}
	if port == "" || port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		return name, nil
	}
	return name + ":" + port, nil
}

// splitPort takes the port, as a plain number, from the end of a host.
func splitPort(host string) (name, port string, err error) {
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.HasSuffix(host, "]") {
		return host, "", nil
	}
	name, port = host[:colon], host[colon+1:]
	if port == "" {
		return name, "", nil
	}
	n, ok := number(port)
	if !ok || len(port) > 5 || n == 0 || n > 65535 {
		return "", "", fmt.Errorf("%w %q: port is not a number from 1 to 65535", ErrHost, host)
	}
	return name, strconv.Itoa(n), nil
}

func normalIPv6(literal string) (string, error) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(literal[1:], "]"))
	if err != nil || !strings.HasSuffix(literal, "]") || !addr.Is6() || addr.Zone() != "" {
		return "", fmt.Errorf("not an IPv6 address in brackets")
	}
	return "[" + addr.String() + "]", nil
}

// normalName checks a name as it stands in DNS, underscores allowed. Percent
// encoding and other scripts than ASCII are refused: resolvers and origins
// differ in what they make of them.
func normalName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxHost {
		return "", fmt.Errorf("length %d is not from 1 to %d", len(name), maxHost)
	}
	if strings.HasSuffix(name, ".") {
		return "", errors.New("it ends in more than one dot")
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && name[i-1] != '.':
		default:
			return "", fmt.Errorf("byte %q at %d is not allowed in a name", c, i)
		}
	}
	return strings.ToLower(name), nil
}
