package httpsem

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// parseDate reads an HTTP date in any of its three forms (RFC 9110, section
// 5.6.7). As RFC 9111, section 4.2, asks of caches, names are matched without
// case, and a zone other than GMT or UTC makes the date invalid. Everything
// else is fixed in width: what time.Parse would let pass (one-digit hours,
// fractions, runs of spaces, any zone) is invalid here, because an invalid
// date is the safe one. The day of the week is not compared with the date.
//
// near settles the century of a two-digit year: a date more than 50 years after
// it lies in the past.
func parseDate(s string, near time.Time) (date time.Time, ok bool) {
	day, rest, found := strings.Cut(s, ",")
	switch {
	case !found && len(s) == len("Sun Nov  6 08:49:37 1994"):
		gaps := s[3:4] + s[7:8] + s[10:11] + s[19:20]
		date, ok = dateOf(strings.TrimPrefix(s[8:10], " "), s[4:7], s[20:], s[11:19])
		return date, ok && gaps == "    " && isDay(s[:3], true)
	case found && len(rest) == len(" 06 Nov 1994 08:49:37 GMT"):
		gaps := rest[:1] + rest[3:4] + rest[7:8] + rest[12:13]
		date, ok = dateOf(rest[1:3], rest[4:7], rest[8:12], rest[13:21])
		return date, ok && gaps == "    " && isZone(rest[21:]) && isDay(day, true)
	case found && len(rest) == len(" 06-Nov-94 08:49:37 GMT"):
		gaps := rest[:1] + rest[3:4] + rest[7:8] + rest[10:11]
		date, ok = dateNear(rest[1:3], rest[4:7], rest[8:10], rest[11:19], near)
		return date, ok && gaps == " -- " && isZone(rest[19:]) && isDay(day, false)
	}
	return time.Time{}, false
}

// dateNear puts together a date whose year has two digits: the latest such date
// that is not more than 50 years after near.
func dateNear(day, month, year, clock string, near time.Time) (time.Time, bool) {
	latest := near.UTC().AddDate(50, 0, 0)
	century := latest.Year() / 100
	date, ok := dateOf(day, month, fmt.Sprintf("%02d%s", century, year), clock)
	if ok && date.After(latest) {
		return dateOf(day, month, fmt.Sprintf("%02d%s", century-1, year), clock)
	}
	return date, ok
}

// dateOf puts a date together. A leap second is the first of the next minute.
func dateOf(day, month, year, clock string) (time.Time, bool) {
	d, okDay := number(day)
	y, okYear := number(year)
	h, okHour := number(clock[:2])
	m, okMinute := number(clock[3:5])
	s, okSecond := number(clock[6:])
	mon := monthOf(month)
	if !okDay || !okYear || !okHour || !okMinute || !okSecond || mon == 0 ||
		clock[2] != ':' || clock[5] != ':' || h > 23 || m > 59 || s > 60 {
		return time.Time{}, false
	}
	dayExists := time.Date(y, mon, d, 0, 0, 0, 0, time.UTC).Day() == d
	return time.Date(y, mon, d, h, m, s, 0, time.UTC), dayExists
}

// isDay reports whether s names a day of the week, by its first three letters
// or in full.
func isDay(s string, short bool) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		name := day.String()
		if short {
			name = name[:3]
		}
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

func monthOf(name string) time.Month {
	for month := time.January; month <= time.December; month++ {
		if strings.EqualFold(name, month.String()[:3]) {
			return month
		}
	}
	return 0
}

func isZone(s string) bool { return strings.EqualFold(s, " GMT") || strings.EqualFold(s, " UTC") }

// number reads a short run of decimal digits.
func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

// originDate is when a response was made: its Date field, or the time at which
// it came when that is missing, invalid or there twice (RFC 9110, section
// 6.6.1).
func originDate(h http.Header, received time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if date, ok := parseDate(lines[0], received); ok {
			return date
		}
	}
	return received
}
