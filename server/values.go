package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// The types of settings. The text of an error of UnmarshalText is the remedy.

// Bytes is a number of bytes, written as 65536, 64KiB or 64KB (64,000).
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimRight(rest, " "), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/unit {
		return errors.New("set a smaller number of bytes")
	}
	if err != nil || n < 0 {
		return errors.New("write a whole number and a unit, as 256MiB or 1GiB")
	}
	*b = Bytes(n * unit)
	return nil
}

// String writes the number with the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// A Switch is on or off. (Not a bool, for which flags would take no value.)
type Switch uint8

const (
	Off Switch = iota
	On
)

func (s *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "on", "true":
		*s = On
	case "off", "false":
		*s = Off
	default:
		return errors.New("write on or off")
	}
	return nil
}

func (s Switch) String() string {
	if s == On {
		return "on"
	}
	return "off"
}

// An Address is what a listener listens on: host:port, :port for all addresses
// of the machine, or off.
type Address string

func (a *Address) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*a = "off"
		return nil
	}
	_, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return errors.New("write host:port or :port, as 127.0.0.1:8080 or :8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("write a port between 0 and 65535, as 127.0.0.1:8080 or :8080")
	}
	*a = Address(text)
	return nil
}

func (a Address) String() string { return string(a) }

// off reports whether there is no such listener.
func (a Address) off() bool { return a == "off" || a == "" }

// An Origin is the base URL of the server behind the cache; its path, if any,
// is put before that of each request. A nil URL: not set.
type Origin struct{ *url.URL }

func (o *Origin) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	switch {
	case err != nil && !strings.Contains(string(text), "://"), err == nil && u.Host == "":
		return fmt.Errorf("write the scheme, host and port, as http://127.0.0.1:9000")
	case err != nil:
		return errors.New("write a URL, as http://127.0.0.1:9000")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("use the scheme http or https")
	case u.Hostname() == "":
		return errors.New("write the host, as http://127.0.0.1:9000")
	case !validPort(u.Port()):
		return errors.New("write a port between 1 and 65535, or none for the scheme's own")
	case u.User != nil:
		return errors.New("leave out the user and password: they would be sent with everybody's request")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("leave out the query: each request has its own")
	case u.Fragment != "" || strings.HasSuffix(string(text), "#"):
		return errors.New("leave out the fragment: servers never see one")
	}
	if u.Path == "/" {
		u.Path = ""
	}
	*o = Origin{u}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func (o Origin) String() string {
	if o.URL == nil {
		return ""
	}
	return o.URL.String()
}

// A Format is the form of a log.
type Format string

const (
	JSON Format = "json"
	Text Format = "text"
)

func (f *Format) UnmarshalText(text []byte) error {
	switch Format(text) {
	case JSON, Text:
		*f = Format(text)
		return nil
	}
	return errors.New("write json or text")
}

// A LogLevel is the least severe level that a log has.
type LogLevel slog.Level

func (l *LogLevel) UnmarshalText(text []byte) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[string(text)]
	if !ok {
		return errors.New("write debug, info, warn or error")
	}
	*l = LogLevel(level)
	return nil
}

func (l LogLevel) String() string { return strings.ToLower(l.Level().String()) }

// Level makes a LogLevel a slog.Leveler.
func (l LogLevel) Level() slog.Level { return slog.Level(l) }
