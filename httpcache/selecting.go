package httpcache

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// selected is what the request has in the fields that a response varies on.
func (f *fetch) selected(v *response) string {
	if v.varying == nil {
		return ""
	}
	if fields := v.varying.vary.Fields; !slices.Equal(fields, f.vary) {
		header := f.incoming
		if !v.varying.unchanged || len(header["Connection"]) > 0 {
			header = f.sent()
		}
		f.vary, f.selecting = fields, v.varying.vary.Selecting(header)
	}
	return f.selecting
}

// sentUnchanged reports whether the fields of Vary reach the origin as they
// come, unless Connection names one, so that they can be compared without
// making the header that would be sent.
func sentUnchanged(vary httpsem.Vary) bool {
	h := make(http.Header, len(vary.Fields))
	for _, field := range vary.Fields {
		h[http.CanonicalHeaderKey(field)] = []string{""}
	}
	clean(h, false)
	return len(h) == len(vary.Fields) && !vary.Names("via") && !vary.Names("content-length") && !vary.Names("expect")
}

// matches reports whether a response for the key is one for this request.
func (f *fetch) matches(v *response) bool { return f.selected(v) == v.selecting() }

// variant is the name of the request's own response, given one that varies;
// empty when it would be too long.
func (f *fetch) variant(v *response) string {
	selecting := f.selected(v)
	if len(selecting) > maxSelecting {
		return ""
	}
	return f.name + "\n" + abridged(selecting)
}

// abridged is what stands for a selecting text in the name of a variant. Variants
// are remembered by their names, also when they are in the cache no more: what a
// client sends must not make them long.
func abridged(selecting string) string {
	if len(selecting) <= 2*sha256.Size {
		return selecting
	}
	hash := sha256.Sum256([]byte(selecting))
	return base64.RawStdEncoding.EncodeToString(hash[:])
}

// follow notes which variants the address has, given one of them.
func (f *fetch) follow(v *response) {
	if v.varying != nil {
		f.variants = v.varying.variants
	}
}

// keepVariant sees to it that an address does not have too many variants.
func (f *fetch) keepVariant(v *response, name string, prev *corral.Item[*response]) {
	if v.varying == nil {
		return
	}
	of := f.variants
	if of == nil && prev != nil && prev.Value.varying != nil {
		of = prev.Value.varying.variants
	}
	if of == nil {
		of = new(variants)
	}
	v.varying.variants = of
	if name == f.name {
		return // the first one, by which the others are found
	}
	if oldest := of.add(name[len(f.name):], f.c.MaxVariants); oldest != "" {
		f.d.forget(f.name + oldest)
	}
}
