package httpsem

import (
	"fmt"
	"net/http"
	"testing"
)

// part gives a stored 206 with an ETag and some fields more.
func part(contentRange, fields string) http.Header {
	return header("Date: " + at(0) + "\nETag: \"a\"\nContent-Range: " + contentRange + "\n" + fields)
}

func TestSection33WhatAPartBrings(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		want   Parts
		ok     bool
	}{
		{"a part", part("bytes 5-9/100", "Content-Length: 5\nX: 1"),
			Parts{header("Date: " + at(0) + "\nETag: \"a\"\nX: 1"), []Span{{5, 5}}, 100}, true},
		{"a part of no known size", part("bytes 5-9/*", ""), Parts{header("Date: " + at(0) + "\nETag: \"a\""), []Span{{5, 5}}, -1}, true},
		{"all of it", part("bytes 0-99/100", ""), Parts{header("Date: " + at(0) + "\nETag: \"a\"\nContent-Length: 100"), []Span{{0, 100}}, 100}, true},
		{"another length", part("bytes 5-9/100", "Content-Length: 6"), Parts{}, false},
		{"two lengths", part("bytes 5-9/100", "Content-Length: 5\nContent-Length: 5"), Parts{}, false},
		{"an invalid range", part("bytes 9-5/100", ""), Parts{}, false},
		{"two ranges", part("bytes 0-4/100", "Content-Range: bytes 5-9/100"), Parts{}, false},
		{"parts in one content", header("ETag: \"a\"\nContent-Type: multipart/byteranges; boundary=x"), Parts{}, false},
	} {
		before := c.header.Clone()
		got, ok := PartsOf(c.header)
		is(t, c.name+": ok", ok, c.ok)
		is(t, c.name, got, c.want)
		is(t, c.name+": the header that was read", c.header, before)
	}
}

func TestSection34PartsOfTheSameContentMakeAUnion(t *testing.T) {
	for _, c := range []struct {
		stored, later string
		want          string
	}{
		{"bytes 0-4/100", "bytes 10-14/100", "[{0 5} {10 5}] of 100, whole: false"},
		{"bytes 10-14/100", "bytes 0-4/100", "[{0 5} {10 5}] of 100, whole: false"},
		{"bytes 0-4/100", "bytes 5-9/100", "[{0 10}] of 100, whole: false"},
		{"bytes 0-4/100", "bytes 6-9/100", "[{0 5} {6 4}] of 100, whole: false"},
		{"bytes 0-6/100", "bytes 5-9/100", "[{0 10}] of 100, whole: false"},
		{"bytes 0-49/100", "bytes 50-99/100", "[{0 100}] of 100, whole: true"},
		{"bytes 0-49/*", "bytes 50-99/*", "[{0 100}] of -1, whole: false"},
		{"bytes 0-49/*", "bytes 50-99/100", "[{0 100}] of 100, whole: true"},
		{"bytes 0-99/*", "bytes 0-0/100", "[{0 100}] of 100, whole: true"},
		{"bytes 0-99/*", "bytes 0-0/99", "no"},
		{"bytes 0-4/100", "bytes 5-9/101", "no"},
	} {
		stored, _ := PartsOf(part(c.stored, ""))
		later, _ := PartsOf(part(c.later, ""))
		got := "no"
		if p, ok := Combine(stored, later); ok {
			got = fmt.Sprintf("%v of %d, whole: %v", p.Spans, p.Size, p.Whole())
			is(t, c.later+": complete by Content-Length", has(p.Header, "Content-Length"), p.Whole())
		}
		is(t, "Combine of "+c.stored+" and "+c.later, got, c.want)
	}
}

func TestCombineLeavesWhatItIsGiven(t *testing.T) {
	spans := append(make([]Span, 0, 2), Span{10, 5})
	stored := Parts{Header: header(`ETag: "a"`), Spans: spans, Size: 100}
	later, _ := PartsOf(part("bytes 0-4/100", ""))
	got, _ := Combine(stored, later)
	is(t, "combined spans", got.Spans, []Span{{0, 5}, {10, 5}})
	is(t, "stored spans", stored.Spans, []Span{{10, 5}})
	is(t, "later spans", later.Spans, []Span{{0, 5}})
}

func TestSection34OnlyAStrongValidatorJoinsParts(t *testing.T) {
	dated := func(date, modified string) string { return "Date: " + date + "\nLast-Modified: " + modified }
	for _, c := range []struct {
		name, stored, later string
		want                bool
	}{
		{"the same ETag", `ETag: "a"`, `ETag: "a"`, true},
		{"another ETag", `ETag: "a"`, `ETag: "b"`, false},
		{"the same weak ETag", `ETag: W/"a"`, `ETag: W/"a"`, false},
		{"no ETag in one", `ETag: "a"`, "", false},
		{"no ETag in the other", dated(at(0), at(-9)), "ETag: \"a\"\n" + dated(at(0), at(-9)), false},
		{"an invalid ETag", `ETag: a`, `ETag: a`, false},
		{"the same date", dated(at(-5), at(-9)), dated(at(0), at(-9)), true},
		{"another date", dated(at(-5), at(-9)), dated(at(0), at(-8)), false},
		{"a date too new to be strong", dated(at(-9), at(-9)), dated(at(0), at(-9)), false},
		{"nothing", "", "", false},
	} {
		stored := Parts{Header: header(c.stored), Spans: []Span{{0, 5}}, Size: 100}
		later := Parts{Header: header(c.later), Spans: []Span{{5, 5}}, Size: 100}
		_, ok := Combine(stored, later)
		is(t, c.name, ok, c.want)
	}
}

func TestSection34NewerFieldsReplaceStoredOnes(t *testing.T) {
	stored := Parts{Header: header("Date: " + at(-60) + "\nETag: \"a\"\nX: 1\nY: 1"), Spans: []Span{{0, 50}}, Size: 100}
	later, _ := PartsOf(part("bytes 50-99/100", "Content-Length: 50\nX: 2"))
	got, _ := Combine(stored, later)
	is(t, "header", got.Header, header("Date: "+at(0)+"\nETag: \"a\"\nX: 2\nY: 1\nContent-Length: 100"))
	is(t, "the stored header", stored.Header, header("Date: "+at(-60)+"\nETag: \"a\"\nX: 1\nY: 1"))
}

func TestPartsWithTooManyGapsAreNotCombined(t *testing.T) {
	stored, _ := PartsOf(part("bytes 0-0/100", ""))
	for i := 1; i <= MaxSpans; i++ {
		later, _ := PartsOf(part(fmt.Sprintf("bytes %d-%d/100", 2*i, 2*i), ""))
		combined, ok := Combine(stored, later)
		is(t, fmt.Sprintf("part %d", i), ok, i < MaxSpans)
		if ok {
			stored = combined
		}
	}
}

func FuzzCombine(f *testing.F) {
	f.Add("bytes 0-4/100", "bytes 5-9/*", 5)
	f.Add("bytes 0-9223372036854775805/*", "bytes 1-2/3", 0)
	f.Fuzz(func(t *testing.T, one, other string, length int) {
		stored, okStored := PartsOf(part(one, ""))
		later, okLater := PartsOf(part(other, fmt.Sprintf("Content-Length: %d", length)))
		if !okStored || !okLater {
			return
		}
		a, okA := Combine(stored, later)
		b, okB := Combine(later, stored)
		if okA != okB || fmt.Sprint(a.Spans, a.Size) != fmt.Sprint(b.Spans, b.Size) {
			t.Errorf("%q and %q: %v %v one way, %v %v the other", one, other, a, okA, b, okB)
		}
		for i, s := range a.Spans {
			if s.Start < 0 || s.Length < 1 || a.Size >= 0 && s.end() > a.Size || i > 0 && s.Start <= a.Spans[i-1].end() {
				t.Errorf("%q and %q: spans %v of %d", one, other, a.Spans, a.Size)
			}
		}
	})
}
