package httpsem

import (
	"net/http"
	"testing"
	"time"
)

func TestRFC9110Section567Dates(t *testing.T) {
	want := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
		"Sun Nov 06 08:49:37 1994",
		"sUN, 06 nOV 1994 08:49:37 gmt",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Mon, 06 Nov 1994 08:49:37 GMT", // the wrong day is not checked
	} {
		got, ok := parseDate(s, now)
		is(t, "parseDate("+s+") ok", ok, true)
		is(t, "parseDate("+s+")", got, want)
	}
	for _, s := range []string{
		"", "0", "-1", "now",
		"Sun, 06 Nov 1994 08:49:37 PST",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT+1",
		"Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06 Nov 1994  8:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun,  6 Nov 1994 08:49:37 GMT",
		"Sun, 06  Nov  1994 08:49:37 GMT",
		"Sun, 06-Nov-1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sun 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08.49.37 GMT",
		"Sun, 06 Nov 1994 08:49:37.0GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Xyz, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Foo 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 EST",
		"Sun Nov  6 08:49:37 +994",
	} {
		got, ok := parseDate(s, now)
		if ok {
			t.Errorf("parseDate(%q) = %v, want it invalid", s, got)
		}
	}
}

func TestRFC9110Section567ATwoDigitYearLiesAtMostFiftyYearsAhead(t *testing.T) {
	for _, c := range []struct {
		s    string
		want int
	}{
		{"Saturday, 14-Mar-76 15:09:26 GMT", 2076}, // 50 years to the second
		{"Saturday, 14-Mar-76 15:09:27 GMT", 1976},
		{"Saturday, 14-Mar-26 15:09:26 GMT", 2026},
		{"Saturday, 14-Mar-99 15:09:26 GMT", 1999},
		{"Saturday, 14-Mar-00 15:09:26 GMT", 2000},
	} {
		got, ok := parseDate(c.s, now)
		is(t, c.s+" ok", ok, true)
		is(t, c.s, got.Year(), c.want)
	}
}

func FuzzDate(f *testing.F) {
	for _, seed := range []string{at(0), now.Format(time.RFC850), now.Format(time.ANSIC), "", "Sun, 06 Nov 1994 08:49:37 G\x00T", "Sunday, 29-Feb-00 23:59:60 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		date, ok := parseDate(s, now)
		if !ok {
			return
		}
		again, ok := parseDate(date.Format(http.TimeFormat), now)
		if date.Year() <= 9999 && (!ok || !again.Equal(date)) {
			t.Errorf("parseDate(%q) = %v; written and read again: %v, %v", s, date, again, ok)
		}
	})
}
