package httpsem

import (
	"net/http"
	"testing"
	"time"
)

func TestSection51Age(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"", 0},
		{"Age: 7", 7 * second},
		{"Age: 007", 7 * second},
		{"Age: 7, 0", 7 * second},
		{"Age: 0, 7", 0},
		{"Age: 7\nAge: 0", 7 * second},
		{"Age: 0\nAge: 7", 0},
		{"Age: , 7", 7 * second},
		{"Age: -7", 0},
		{"Age: 7.0", 0},
		{"Age: 7;x=1", 0},
		{"Age: x, 7", 0},
		{`Age: "7"`, 0},
		{"Age: 2147483649", maxDelta},
		{"Age: 99999999999999999999", maxDelta},
	} {
		is(t, c.text, ageField(header(c.text)), c.want)
	}
}

func TestSection423AgeAtArrival(t *testing.T) {
	for _, c := range []struct {
		name, text string
		delay      time.Duration
		initial    time.Duration
		least      time.Duration
	}{
		{"new", "Date: " + at(0), 0, 0, 0},
		{"the fetch counts", "Date: " + at(0), 120 * time.Millisecond, 120 * time.Millisecond, 0},
		{"the fetch counts beside Age", "Date: " + at(0) + "\nAge: 3", 2 * second, 5 * second, 3 * second},
		{"apparent age", "Date: " + at(-7), 0, 7 * second, 6 * second},
		{"the larger of both: Date", "Date: " + at(-7) + "\nAge: 3", 2 * second, 7 * second, 6 * second},
		{"the larger of both: Age", "Date: " + at(-4) + "\nAge: 3", 2 * second, 5 * second, 3 * second},
		{"Date ahead of us", "Date: " + at(60), 0, 0, 0},
		{"no Date", "", second, second, 0},
		{"no Date but Age", "Age: 3", second, 4 * second, 3 * second},
		{"Date invalid", "Date: yesterday", second, second, 0},
		{"Date twice", "Date: " + at(-7) + "\nDate: " + at(-9), second, second, 0},
		{"a clock that went back", "Date: " + at(0), -5 * second, 0, 0},
		{"a clock that went back, beside Age", "Date: " + at(0) + "\nAge: 3", -5 * second, 3 * second, 3 * second},
		{"Date before all clocks", "Date: Sat, 01 Jan 0000 00:00:00 GMT", 0, maxDelta, maxDelta - second},
	} {
		got := agesOf(header(c.text), now.Add(-c.delay), now)
		is(t, c.name, got, ages{initial: c.initial, least: c.least})
	}
}

func TestSection423DateHasNoFractions(t *testing.T) {
	received := now.Add(900 * time.Millisecond)
	got := agesOf(header("Date: "+at(0)), received, received)
	is(t, "age 0.9 s after Date", got.initial, 0)
	received = now.Add(second)
	got = agesOf(header("Date: "+at(0)), received, received)
	is(t, "age 1 s after Date", got, ages{initial: second, least: 0})
}

func FuzzAge(f *testing.F) {
	for _, seed := range []string{"7", "7, 8", "-1", "99999999999999999999", `"7"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got := agesOf(http.Header{"Age": {field}, "Date": {field}}, now.Add(-second), now)
		if got.initial < second || got.initial > maxDelta+second || got.least < 0 || got.least > got.initial {
			t.Errorf("Age and Date %q: %+v", field, got)
		}
	})
}
