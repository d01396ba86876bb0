package httpsem

import (
	"net/http"
	"slices"
	"strings"
)

// The limits of Tags: how many a response may have, and how long one may be.
// What is beyond them is left out, and a purge by it does not reach the
// response.
const (
	MaxTags     = 128
	MaxTagBytes = 1024
)

// Tags gives the names under which a response can be purged, each once, in the
// order in which they stand in the given fields: Surrogate-Key and xkey separate
// them by spaces, all other fields by commas. They mean the same wherever they
// stand, and case matters.
func Tags(response http.Header, fields []string) []string {
	var tags []string
	for _, field := range fields {
		separators := ","
		if strings.EqualFold(field, "Surrogate-Key") || strings.EqualFold(field, "xkey") {
			separators = " \t"
		}
		for _, line := range response.Values(field) {
			for tag := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				tag = trim(tag)
				if tag == "" || len(tag) > MaxTagBytes || slices.Contains(tags, tag) {
					continue
				}
				if len(tags) == MaxTags {
					return tags
				}
				tags = append(tags, tag)
			}
		}
	}
	return tags
}
