package httpsem

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestRFC9110Section1255Vary(t *testing.T) {
	for _, c := range []struct {
		text string
		want Vary
	}{
		{"", Vary{}},
		{"Vary: ", Vary{}},
		{"Vary: Accept", Vary{Fields: []string{"accept"}}},
		{"Vary: b, A ,\tc,", Vary{Fields: []string{"a", "b", "c"}}},
		{"Vary: b, a\nVary: A", Vary{Fields: []string{"a", "b"}}},
		{"Vary: *", Vary{Any: true}},
		{"Vary: a, *", Vary{Any: true}},
		{"Vary: a\nVary: *", Vary{Any: true}},
		{"Vary: a b", Vary{Any: true}},
		{`Vary: "a", b`, Vary{Any: true}},
		{"Vary: a;b", Vary{Any: true}},
	} {
		is(t, c.text, ParseVary(header(c.text)), c.want)
	}
}

func TestSection41WhichRequestsMatch(t *testing.T) {
	for _, c := range []struct {
		name, vary, a, b string
		want             bool
	}{
		{"no Vary", "", "X: 1", "X: 2", true},
		{"same", "X", "X: 1", "X: 1", true},
		{"different", "X", "X: 1", "X: 2", false},
		{"case of the value", "X", "X: a", "X: A", false},
		{"other fields", "X", "X: 1\nY: 1", "X: 1\nY: 2", true},
		{"absent in both", "X", "", "Y: 1", true},
		{"absent in one", "X", "", "X: 1", false},
		{"empty is not absent", "X", "", "X:", false},
		{"space at the ends", "X", "X:  1\t", "X: 1", true},
		{"lines are combined", "X", "X: 1\nX: 2", "X: 1, 2", true},
		{"order of lines", "X", "X: 1\nX: 2", "X: 2\nX: 1", false},
		{"space in a value of unknown syntax", "X", "X: a,b", "X: a, b", false},
		{"space in negotiation fields", "Accept-Encoding", "Accept-Encoding: gzip;q=1,br", "Accept-Encoding:  gzip ; q=1 , br", true},
		{"lines of negotiation fields", "Accept", "Accept: a/b\nAccept: c/d", "Accept: a/b,c/d", true},
		{"space in a quoted parameter", "Accept", `Accept: a/b;c="x , y"`, `Accept: a/b;c="x,y"`, false},
		{"preference counts", "Accept-Language", "Accept-Language: de, en", "Accept-Language: en, de", false},
		{"all fields count", "A, B", "A: 1\nB: 1", "A: 1\nB: 2", false},
		{"a value cannot imitate a field", "A, B", "A: 1\n", "A: 1\nB: ", false},
		{"Vary: *", "*", "X: 1", "X: 1", false},
	} {
		v := ParseVary(http.Header{"Vary": {c.vary}})
		is(t, c.name, v.Matches(header(c.a), header(c.b)), c.want)
		is(t, c.name+", the other way", v.Matches(header(c.b), header(c.a)), c.want)
	}
	v := ParseVary(header("Vary: B, A, C"))
	is(t, "Selecting", v.Selecting(header("A: x\nB: 1\nB: 2")), "a=1:x\nb=4:1, 2\nc!\n")
	is(t, "Names", v.Names("b"), true)
	is(t, "Names", v.Names("d"), false)
}

func FuzzVary(f *testing.F) {
	f.Add("a, b", "1", "2", "1", "2")
	f.Add("accept", "a;q=1 , b", "", "a;q=1,b", "")
	f.Add("*", "", "", "", "")
	f.Fuzz(func(t *testing.T, field, a1, b1, a2, b2 string) {
		v := ParseVary(http.Header{"Vary": {field}})
		if !slices.IsSorted(v.Fields) || v.Any && v.Fields != nil {
			t.Errorf("Vary %q: %+v", field, v)
		}
		for _, name := range v.Fields {
			if !isToken(name) || name != strings.ToLower(name) {
				t.Errorf("Vary %q names %q", field, name)
			}
		}
		// The material of two fields with other values differs, whatever they hold.
		both := Vary{Fields: []string{"a", "b"}}
		one, two := http.Header{"A": {a1}, "B": {b1}}, http.Header{"A": {a2}, "B": {b2}}
		want := trim(a1) == trim(a2) && trim(b1) == trim(b2)
		if got := both.Matches(one, two); got != want {
			t.Errorf("(%q, %q) matches (%q, %q) = %v, want %v", a1, b1, a2, b2, got, want)
		}
		accept := Vary{Fields: []string{"accept"}}
		if h := (http.Header{"Accept": {a1, a2}}); !accept.Matches(h, h.Clone()) {
			t.Errorf("Accept %q does not match itself", h)
		}
	})
}
