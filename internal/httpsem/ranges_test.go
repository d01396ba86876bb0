package httpsem

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

func TestSection142HowAWholeAnswersARange(t *testing.T) {
	const big = "18446744073709551616" // 2^64
	for _, c := range []struct {
		name, asked string
		size        int64
		code        int
		spans       []Span
	}{
		{"from, to", "bytes=0-4", 100, 206, []Span{{0, 5}}},
		{"one byte", "bytes=5-5", 100, 206, []Span{{5, 1}}},
		{"from", "bytes=95-", 100, 206, []Span{{95, 5}}},
		{"all", "bytes=0-", 100, 206, []Span{{0, 100}}},
		{"suffix", "bytes=-5", 100, 206, []Span{{95, 5}}},
		{"suffix as long as all", "bytes=-100", 100, 206, []Span{{0, 100}}},
		{"suffix longer than all", "bytes=-101", 100, 206, []Span{{0, 100}}},
		{"last byte", "bytes=99-99", 100, 206, []Span{{99, 1}}},
		{"to the end and on", "bytes=99-100", 100, 206, []Span{{99, 1}}},
		{"after the end", "bytes=100-100", 100, 416, nil},
		{"after the end, open", "bytes=100-", 100, 416, nil},
		{"suffix of nothing", "bytes=-0", 100, 416, nil},
		{"to beyond an int64", "bytes=1-" + big, 100, 206, []Span{{1, 99}}},
		{"from beyond an int64", "bytes=" + big + "-", 100, 416, nil},
		{"suffix beyond an int64", "bytes=-" + big, 100, 206, []Span{{0, 100}}},
		{"from ten times beyond an int64", "bytes=184467440737095516160-", 100, 416, nil},
		{"the greatest int64", "bytes=0-9223372036854775807", 100, 206, []Span{{0, 100}}},
		{"leading zeros", "bytes=007-0008", 100, 206, []Span{{7, 2}}},
		{"unit in another case", "BYTES=0-4", 100, 206, []Span{{0, 5}}},
		{"spaces and empty members", "bytes= ,0-4 ,\t,", 100, 206, []Span{{0, 5}}},

		{"two", "bytes=0-4,200-204", 1000, 206, []Span{{0, 5}, {200, 5}}},
		{"two, spaced", "bytes=0-4, -1", 1000, 206, []Span{{0, 5}, {999, 1}}},
		{"two that overlap", "bytes=0-9,5-19", 1000, 206, []Span{{0, 20}}},
		{"two of which one holds the other", "bytes=0-99,5-19", 1000, 206, []Span{{0, 100}}},
		{"two that touch", "bytes=0-9,10-19", 1000, 206, []Span{{0, 20}}},
		{"two that are the same", "bytes=5-9,5-9", 1000, 206, []Span{{5, 5}}},
		{"a gap of 79", "bytes=0-9,89-99", 1000, 206, []Span{{0, 100}}},
		{"a gap of 80", "bytes=0-9,90-99", 1000, 206, []Span{{0, 10}, {90, 10}}},
		{"three of which two join", "bytes=0-9,20-29,500-509", 1000, 206, []Span{{0, 30}, {500, 10}}},
		{"one of two is there", "bytes=0-4,1000-", 1000, 206, []Span{{0, 5}}},
		{"the other of two is there", "bytes=1000-,0-4", 1000, 206, []Span{{0, 5}}},
		{"neither is there", "bytes=1000-,-0", 1000, 416, nil},
		{"not in order", "bytes=200-204,0-4", 1000, 200, nil},
		{"a suffix that is not in order", "bytes=995-999,-10", 1000, 200, nil},
		{"as many as may be", "bytes=" + many(MaxSpans), 1000, 206, []Span{{0, MaxSpans}}},
		{"one more", "bytes=" + many(MaxSpans+1), 1000, 200, nil},

		{"to before from", "bytes=5-4", 100, 200, nil},
		{"one broken among them", "bytes=0-4,x", 100, 200, nil},
		{"another unit", "items=0-4", 100, 200, nil},
		{"no unit", "0-4", 100, 200, nil},
		{"nothing", "bytes=", 100, 200, nil},
		{"commas", "bytes=,,", 100, 200, nil},
		{"a dash", "bytes=-", 100, 200, nil},
		{"no dash", "bytes=5", 100, 200, nil},
		{"two dashes", "bytes=0--4", 100, 200, nil},
		{"a sign", "bytes=+0-4", 100, 200, nil},
		{"a space inside", "bytes=0 -4", 100, 200, nil},
		{"a space before the sign", "bytes =0-4", 100, 200, nil},
		{"hexadecimal", "bytes=0x0-4", 100, 200, nil},
		{"nothing at all", "", 100, 200, nil},
		{"an empty content", "bytes=0-", 0, 200, nil},
		{"an empty content's suffix", "bytes=-5", 0, 200, nil},
		{"a size that is not known", "bytes=0-4", -1, 200, nil},
	} {
		spans, code := Select(http.Header{"Range": {c.asked}}, http.Header{}, c.size)
		is(t, c.name+": code", code, c.code)
		is(t, c.name+": spans", spans, c.spans)
	}
	_, code := Select(http.Header{}, http.Header{}, 100)
	is(t, "no Range", code, 200)
	_, code = Select(header("Range: bytes=0-1\nRange: bytes=5-6"), http.Header{}, 100)
	is(t, "two Ranges", code, 200)
}

// many gives n ranges of a byte each.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d-%d", i, i)
	}
	return b.String()[1:]
}

func TestSection1315IfRange(t *testing.T) {
	dated := "Date: " + at(0) + "\nLast-Modified: "
	for _, c := range []struct {
		name, condition, stored string
		want                    int
	}{
		{"none", "", "", 206},
		{"the ETag", `If-Range: "a"`, `ETag: "a"`, 206},
		{"another ETag", `If-Range: "b"`, `ETag: "a"`, 200},
		{"a weak one", `If-Range: W/"a"`, `ETag: W/"a"`, 200},
		{"a weak one for a strong", `If-Range: W/"a"`, `ETag: "a"`, 200},
		{"a strong one for a weak", `If-Range: "a"`, `ETag: W/"a"`, 200},
		{"none is stored", `If-Range: "a"`, "", 200},
		{"two in a line", `If-Range: "a", "b"`, `ETag: "a"`, 200},
		{"two lines", "If-Range: \"a\"\nIf-Range: \"a\"", `ETag: "a"`, 200},
		{"any", "If-Range: *", `ETag: "a"`, 200},
		{"the date", "If-Range: " + at(-60), dated + at(-60), 206},
		{"the date, beside an ETag", "If-Range: " + at(-60), "ETag: \"a\"\n" + dated + at(-60), 206},
		{"a later date", "If-Range: " + at(-59), dated + at(-60), 200},
		{"an earlier date", "If-Range: " + at(-61), dated + at(-60), 200},
		{"8.8.2.2 a second old", "If-Range: " + at(-1), dated + at(-1), 206},
		{"8.8.2.2 of the same second", "If-Range: " + at(0), dated + at(0), 200},
		{"8.8.2.2 without Date", "If-Range: " + at(-60), "Last-Modified: " + at(-60), 200},
		{"the date in another form", "If-Range: Saturday, 14-Mar-26 15:08:26 GMT", dated + at(-60), 200},
		{"no date", "If-Range: x", dated + "x", 200},
		{"none is dated", "If-Range: " + at(-60), "Date: " + at(0), 200},
	} {
		_, code := Select(header("Range: bytes=0-4\n"+c.condition), header(c.stored), 100)
		is(t, c.name, code, c.want)
	}
	_, code := Select(header("Range: bytes=100-\nIf-Range: \"b\""), header(`ETag: "a"`), 100)
	is(t, "one that does not hold, before what is not there", code, 200)
}

func TestSection144ContentRange(t *testing.T) {
	is(t, "ContentRange", ContentRange(Span{0, 5}, 100), "bytes 0-4/100")
	is(t, "ContentRange", ContentRange(Span{99, 1}, 100), "bytes 99-99/100")
	is(t, "ContentRange of no size", ContentRange(Span{7, 2}, -1), "bytes 7-8/*")
	is(t, "Unsatisfied", Unsatisfied(100), "bytes */100")
	is(t, "Unsatisfied of no size", Unsatisfied(-1), "bytes */*")
}

func TestSection144ReadingContentRange(t *testing.T) {
	type part struct {
		span Span
		size int64
		ok   bool
	}
	for _, c := range []struct {
		field string
		want  part
	}{
		{"bytes 0-4/100", part{Span{0, 5}, 100, true}},
		{"BYTES 99-99/100", part{Span{99, 1}, 100, true}},
		{"bytes 0-4/*", part{Span{0, 5}, -1, true}},
		{"bytes 0-9223372036854775805/9223372036854775806", part{Span{0, 9223372036854775806}, 9223372036854775806, true}},
		{"bytes 0-100/100", part{}},
		{"bytes 5-4/100", part{}},
		{"bytes */100", part{}},
		{"bytes */*", part{}},
		{"bytes 0-4", part{}},
		{"bytes 0-4/", part{}},
		{"bytes 0-/100", part{}},
		{"bytes -4/100", part{}},
		{"bytes  0-4/100", part{}},
		{"bytes=0-4/100", part{}},
		{"bytes 0-4/100 ", part{}},
		{"items 0-4/100", part{}},
		{"bytes 0-9223372036854775807/*", part{}},
		{"bytes 0-4/9223372036854775807", part{}},
		{"", part{}},
	} {
		span, size, ok := ParseContentRange(c.field)
		is(t, c.field, part{span, size, ok}, c.want)
	}
}

// assemble gives the content of a multipart answer.
func assemble(m Multipart, content string) string {
	var b strings.Builder
	for i, s := range m.spans {
		b.WriteString(m.Preamble(i))
		b.WriteString(content[s.Start:s.end()])
	}
	b.WriteString(m.Closing())
	return b.String()
}

func TestSection146MultipartAnswersAsAReaderSeesThem(t *testing.T) {
	content := strings.Repeat("0123456789", 30)
	for _, contentType := range []string{"text/plain; charset=utf-8", ""} {
		spans := []Span{{0, 5}, {100, 1}, {299, 1}}
		m := NewMultipart("edge", contentType, spans, 300)
		text := assemble(m, content)
		is(t, "Length", m.Length(), int64(len(text)))
		media, params, err := mime.ParseMediaType(m.ContentType())
		is(t, "media type", fmt.Sprint(media, params["boundary"], err), "multipart/byterangesedge<nil>")
		parts := multipart.NewReader(strings.NewReader(text), params["boundary"])
		for _, s := range spans {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(part)
			is(t, "part", fmt.Sprint(string(body), err), content[s.Start:s.end()]+"<nil>")
			is(t, "Content-Range", part.Header.Get("Content-Range"), ContentRange(s, 300))
			is(t, "Content-Type", part.Header.Get("Content-Type"), contentType)
		}
		_, err = parts.NextPart()
		is(t, "after the last part", err, io.EOF)
	}
}

func TestSection146AMultipartAnswerIsTheseBytes(t *testing.T) {
	m := NewMultipart("x", "a/b", []Span{{0, 2}, {6, 1}}, 9)
	is(t, "answer", assemble(m, "012345678"),
		"--x\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/9\r\n\r\n01\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 6-6/9\r\n\r\n6\r\n--x--\r\n")
}

func TestSection146APartWithoutContentTypeNamesNone(t *testing.T) {
	m := NewMultipart("x", "", []Span{{0, 2}, {6, 1}}, 9)
	is(t, "first preamble", m.Preamble(0), "--x\r\nContent-Range: bytes 0-1/9\r\n\r\n")
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-4", "bytes=-5,1-", "bytes=0-0,100-200", "bytes=99999999999999999999-", "x=1"} {
		f.Add(seed, int64(1000))
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		spans, code := Select(http.Header{"Range": {field}}, http.Header{}, size)
		if (code == 206) != (len(spans) > 0) || code != 200 && code != 206 && code != 416 || len(spans) > MaxSpans {
			t.Fatalf("%q of %d bytes: %d with %v", field, size, code, spans)
		}
		var asked int64
		for i, s := range spans {
			if s.Start < 0 || s.Length < 1 || s.Length > size || s.Start > size-s.Length {
				t.Errorf("%q: %v is not within %d bytes", field, s, size)
			}
			if i > 0 && s.Start-spans[i-1].end() < spanGap {
				t.Errorf("%q: %v and %v are not joined", field, spans[i-1], s)
			}
			asked += s.Length
		}
		if asked > max(size, 0) {
			t.Errorf("%q: %d bytes of %d", field, asked, size)
		}
		if len(spans) == 1 {
			got, full, ok := ParseContentRange(ContentRange(spans[0], size))
			if !ok || got != spans[0] || full != size {
				t.Errorf("ParseContentRange(%q) = %v, %d, %v", ContentRange(spans[0], size), got, full, ok)
			}
		}
	})
}
