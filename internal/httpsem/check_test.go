package httpsem

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// is reports a call whose answer is not the one expected.
func is[T any](t testing.TB, call string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}

// header makes a header of lines "Name: value", one text with line breaks.
func header(text string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimRight(line, "\n"), ":"); found {
			h.Add(strings.TrimSpace(name), strings.TrimPrefix(value, " "))
		}
	}
	return h
}

// now is when the responses of these tests arrive.
var now = time.Date(2026, time.March, 14, 15, 9, 26, 0, time.UTC)

// at gives the HTTP date some seconds from now.
func at(seconds int) string {
	return now.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)
}

const second = time.Second
