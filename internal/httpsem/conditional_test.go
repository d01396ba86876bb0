package httpsem

import "testing"

func TestSection432AClientsConditions(t *testing.T) {
	stored := "Date: " + at(0) + "\nETag: \"a\"\nLast-Modified: " + at(-60)
	for _, c := range []struct {
		name, request, stored string
		want                  bool
	}{
		{"none", "", stored, false},
		{"13.1.2 same", `If-None-Match: "a"`, stored, true},
		{"13.1.2 other", `If-None-Match: "b"`, stored, false},
		{"13.1.2 weak in the request", `If-None-Match: W/"a"`, stored, true},
		{"13.1.2 weak in the response", `If-None-Match: "a"`, `ETag: W/"a"`, true},
		{"13.1.2 case counts", `If-None-Match: "A"`, stored, false},
		{"13.1.2 w is not W", `If-None-Match: w/"a"`, stored, false},
		{"13.1.2 in a list", `If-None-Match: "x", W/"y" ,, "a"`, stored, true},
		{"13.1.2 in a list without spaces", `If-None-Match: "x","a"`, stored, true},
		{"13.1.2 on another line", "If-None-Match: \"x\"\nIf-None-Match: \"a\"", stored, true},
		{"13.1.2 a comma in a tag", `If-None-Match: "x,a", "b"`, `ETag: "x,a"`, true},
		{"13.1.2 a backslash escapes nothing", `If-None-Match: "x\", "a"`, stored, true},
		{"13.1.2 without quotes", `If-None-Match: a`, stored, false},
		{"13.1.2 a list that breaks off", `If-None-Match: "x, a`, stored, false},
		{"13.1.2 any", "If-None-Match: *", stored, true},
		{"13.1.2 any, and no ETag", "If-None-Match: *", "", true},
		{"13.1.2 any is not a member", `If-None-Match: "x", *`, stored, false},
		{"13.1.2 no ETag stored", `If-None-Match: "a"`, "Last-Modified: " + at(-60), false},
		{"13.1.3 If-None-Match goes before", "If-None-Match: \"b\"\nIf-Modified-Since: " + at(0), stored, false},
		{"13.1.3 since the change", "If-Modified-Since: " + at(-60), stored, true},
		{"13.1.3 a second before", "If-Modified-Since: " + at(-61), stored, false},
		{"13.1.3 a second after", "If-Modified-Since: " + at(-59), stored, true},
		{"13.1.3 invalid", "If-Modified-Since: x", stored, false},
		{"13.1.3 twice", "If-Modified-Since: " + at(0) + "\nIf-Modified-Since: " + at(0), stored, false},
		{"4.3.2 Date for lack of Last-Modified", "If-Modified-Since: " + at(0), "Date: " + at(0), true},
		{"4.3.2 a second before Date", "If-Modified-Since: " + at(-1), "Date: " + at(0), false},
		{"4.3.2 Last-Modified invalid", "If-Modified-Since: " + at(0), "Last-Modified: x\nDate: " + at(0), false},
		{"4.3.2 neither", "If-Modified-Since: " + at(0), "", false},
	} {
		is(t, c.name, NotModified("GET", header(c.request), 200, header(c.stored)), c.want)
	}
	match := header(`If-None-Match: "a"`)
	is(t, "HEAD", NotModified("HEAD", match, 200, header(stored)), true)
	is(t, "POST", NotModified("POST", match, 200, header(stored)), false)
	is(t, "13.2.1 a stored 404", NotModified("GET", match, 404, header(stored)), false)
}

func TestRFC9110Section1545TheHeaderOfA304(t *testing.T) {
	const both = "Cache-Control: max-age=60\nContent-Location: /a\nVary: x\nX-A: 1\nAccess-Control-Allow-Origin: *"
	content := "\nContent-Type: a/b\nContent-Length: 5\nContent-Encoding: gzip\nContent-Language: de"
	modified := "\nLast-Modified: " + at(-60)
	is(t, "with ETag", NotModifiedHeader(header(both+content+modified+"\nETag: \"a\"")), header(both+"\nETag: \"a\""))
	is(t, "without", NotModifiedHeader(header(both+content+modified)), header(both+modified))
}

func FuzzETags(f *testing.F) {
	f.Add(`"a", W/"b"`, `"a"`)
	f.Add(`"a\", "b`, `W/"`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		stored, ok := storedETag([]string{tag})
		if !ok {
			return
		}
		if !listsETag([]string{stored}, stored) {
			t.Errorf("%q does not match itself", stored)
		}
		if !listsETag([]string{list, stored}, stored) {
			t.Errorf("%q hides %q on the next line", list, stored)
		}
	})
}
