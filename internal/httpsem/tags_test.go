package httpsem

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestTagsOfAResponse(t *testing.T) {
	both := []string{"Surrogate-Key", "Cache-Tag"}
	for _, c := range []struct {
		name, response string
		fields         []string
		want           []string
	}{
		{"none", "", both, nil},
		{"no field is asked for", "Cache-Tag: a", nil, nil},
		{"spaces in Surrogate-Key", "Surrogate-Key: a b,c\td  e ", both, []string{"a", "b,c", "d", "e"}},
		{"commas in others", "Cache-Tag: a, b c ,,d\t,", both, []string{"a", "b c", "d"}},
		{"lines", "Cache-Tag: a\nCache-Tag: b", both, []string{"a", "b"}},
		{"each once", "Cache-Tag: a, b, a\nSurrogate-Key: b c", both, []string{"b", "c", "a"}},
		{"case matters in tags", "Cache-Tag: a, A", both, []string{"a", "A"}},
		{"and not in names of fields", "Surrogate-Key: a b", []string{"surrogate-key"}, []string{"a", "b"}},
		{"any bytes", "Cache-Tag: é, \xff", both, []string{"é", "\xff"}},
		{"empty", "Cache-Tag: , ,\nSurrogate-Key:  ", both, nil},
	} {
		is(t, c.name, Tags(header(c.response), c.fields), c.want)
	}
}

func TestTagsHaveLimits(t *testing.T) {
	long := strings.Repeat("x", MaxTagBytes)
	is(t, "lengths", Tags(http.Header{"Cache-Tag": {long + "y," + long + ",a"}}, []string{"Cache-Tag"}), []string{long, "a"})
	var b strings.Builder
	for i := range MaxTags + 1 {
		fmt.Fprintf(&b, "%d ", i)
	}
	got := Tags(http.Header{"Surrogate-Key": {b.String()}}, []string{"Surrogate-Key"})
	is(t, "number", len(got), MaxTags)
	is(t, "the last one", got[MaxTags-1], fmt.Sprint(MaxTags-1))
}

func FuzzTags(f *testing.F) {
	f.Add("a b,c", "a, b ,c")
	f.Fuzz(func(t *testing.T, keys, list string) {
		h := http.Header{"Surrogate-Key": {keys}, "Cache-Tag": {list}}
		seen := map[string]bool{}
		for _, tag := range Tags(h, []string{"Surrogate-Key", "Cache-Tag"}) {
			if tag == "" || trim(tag) != tag || len(tag) > MaxTagBytes || seen[tag] {
				t.Errorf("Tags of %q and %q have %q", keys, list, tag)
			}
			seen[tag] = true
		}
		if len(seen) > MaxTags {
			t.Errorf("%d tags, want at most %d", len(seen), MaxTags)
		}
	})
}
