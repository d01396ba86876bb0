package httpcache

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// wireVersion is the first byte of a response on its way to another process, or
// to a store. One of another version is refused, and fetched anew.
const wireVersion = 1

// Flags of a response on its way.
const (
	wireMustRevalidate = 1 << iota
	wireConfirmed
	wireVarying
	wireFlags // all that there are, and one
)

// errWire says that bytes are no response.
var errWire = errors.New("httpcache: what came from elsewhere is no response of this version")

// A wire is the corral.Codec of responses. What belongs to one request alone (a
// trailer, the fields for who began the fetch) and what a process finds out by
// itself (which variants it has) does not travel.
type wire struct{}

// Encode implements corral.Codec.
func (wire) Encode(v *response) ([]byte, error) {
	size := 64 + len(v.selecting())
	for i, value := range v.fields.values {
		size += len(v.fields.names[i]) + len(value) + 4
	}
	b := append(make([]byte, 0, size), wireVersion)
	b = binary.AppendUvarint(b, uint64(v.status))
	for _, n := range [...]int64{v.length, int64(v.age), int64(v.staleFor)} {
		b = binary.AppendVarint(b, n)
	}
	flags := byte(0)
	for i, set := range [...]bool{v.mustRevalidate, v.confirmed, v.varying != nil} {
		if set {
			flags |= 1 << i
		}
	}
	b = appendString(append(b, flags), v.reason.String())
	b = binary.AppendUvarint(b, uint64(len(v.fields.names)))
	for i, name := range v.fields.names {
		b = appendString(appendString(b, name), v.fields.values[i])
	}
	if v.varying == nil {
		return b, nil
	}
	b = appendString(b, v.varying.selecting)
	b = binary.AppendUvarint(b, uint64(len(v.varying.vary.Fields)))
	for _, field := range v.varying.vary.Fields {
		b = appendString(b, field)
	}
	return b, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decode implements corral.Codec. What it gives shares nothing with data.
func (wire) Decode(data []byte) (*response, error) {
	if len(data) == 0 || data[0] != wireVersion {
		return nil, errWire
	}
	r := &wireReader{rest: string(data[1:])}
	v := &response{status: int(r.uvarint(999)), length: r.varint(), age: time.Duration(r.varint()), staleFor: time.Duration(r.varint())}
	flags := r.byte()
	v.mustRevalidate, v.confirmed = flags&wireMustRevalidate != 0, flags&wireConfirmed != 0
	v.reason = reasonOf(r.string())
	v.fields = r.fields()
	if flags&wireVarying != 0 {
		selecting, vary := r.string(), httpsem.Vary{Fields: r.strings()}
		v.varying = &varying{vary: vary, selecting: strings.Clone(selecting), unchanged: sentUnchanged(vary), variants: new(variants)}
		r.check(len(vary.Fields) > 0 && slices.IsSorted(vary.Fields) && !slices.ContainsFunc(vary.Fields, notLower))
	}
	r.check(v.status >= 200 && v.length >= -1 && v.age >= 0 && v.staleFor >= 0 && flags < wireFlags && r.rest == "")
	if r.bad {
		return nil, errWire
	}
	return v, nil
}

func notLower(field string) bool { return !isToken(field) || strings.ToLower(field) != field }

// reasonOf is the reason with a text; one that this version does not know is
// none.
func reasonOf(text string) httpsem.Reason {
	for reason := httpsem.NoReason; reason <= httpsem.ReasonTooLarge; reason++ {
		if reason.String() == text {
			return reason
		}
	}
	return httpsem.NoReason
}

// A wireReader reads what Encode has written. Once something is bad, all that
// follows is empty.
type wireReader struct {
	rest string
	bad  bool
}

func (r *wireReader) check(ok bool) {
	if !ok {
		r.bad, r.rest = true, ""
	}
}

func (r *wireReader) byte() (b byte) {
	if r.check(r.rest != ""); !r.bad {
		b, r.rest = r.rest[0], r.rest[1:]
	}
	return b
}

func (r *wireReader) uvarint(limit uint64) uint64 {
	n, size := binary.Uvarint([]byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]))
	if r.check(size > 0 && n <= limit); r.bad {
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *wireReader) varint() int64 {
	n, size := binary.Varint([]byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]))
	if r.check(size > 0); r.bad {
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// string is a part of the text that is read.
func (r *wireReader) string() (s string) {
	n := r.uvarint(uint64(len(r.rest)))
	if r.check(n <= uint64(len(r.rest))); !r.bad {
		s, r.rest = r.rest[:n], r.rest[n:]
	}
	return s
}

func (r *wireReader) strings() (all []string) {
	for range r.uvarint(uint64(len(r.rest))) { // each takes a byte at least
		all = append(all, strings.Clone(r.string()))
		if r.bad {
			return nil
		}
	}
	return all
}

func (r *wireReader) fields() fields {
	h := http.Header{}
	for range r.uvarint(uint64(len(r.rest))) {
		name, value := r.string(), r.string()
		if r.check(name != ""); r.bad {
			return fields{}
		}
		h[name] = append(h[name], value)
	}
	return pack(h)
}
