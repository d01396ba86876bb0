package redislock

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/corralcache/corral"
)

func TestATargetIsReadAsItWasWritten(t *testing.T) {
	for _, target := range []corral.Target{
		{}, {All: true}, {All: true, Soft: true}, {Soft: true, Keys: []string{"", "a\n", "\xff"}},
		{Keys: []string{"k"}, Prefixes: []string{"", "p/"}, Tags: []string{"x", strings.Repeat("y", 300)}},
	} {
		got, err := decodeTarget(encodeTarget(&target))
		if err != nil || !reflect.DeepEqual(got, target) {
			t.Errorf("got %+v, %v; want %+v", got, err, target)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "h", "h\n1\n2\n", "h\nx\n2\np\n", "h\n1\n0\np\n", "h\n1\n2\np\n\x04", "h\n1\n2\np\n\x00\x01", "h\n1\n2\np\n\x00\x00\x00\x00z",
		"h\n1\n2\np\n\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
	} {
		if n, err := parseNotice(text); !errors.Is(err, errMessage) {
			t.Errorf("parseNotice(%q) gave %+v, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "V", "V\nt\n", "VV\nt\n0\n", "V\nt\nx\n"} {
		if l, err := parseLetter(text); !errors.Is(err, errMessage) {
			t.Errorf("parseLetter(%q) gave %+v, %v", text, l, err)
		}
	}
	for _, rest := range []string{"", "1\n", "2\n0\na", "-1\n0\na", "1\n2\na"} {
		if _, _, _, err := (&letter{rest: rest}).value(); !errors.Is(err, errMessage) {
			t.Errorf("a value in %q: %v", rest, err)
		}
	}
	for _, rest := range []string{"", "x\nerror", "1"} {
		if _, _, err := (&letter{rest: rest}).failure(); !errors.Is(err, errMessage) {
			t.Errorf("a failure in %q: %v", rest, err)
		}
	}
}

func TestAnErrorKeepsItsMeaningForOtherProcesses(t *testing.T) {
	got := decodeFailure(encodeFailure(corral.Outage(errors.New("a\nb"))))
	if !errors.Is(got, corral.ErrOutage) || errors.Is(got, corral.ErrNotFound) || got.Error() != "a\nb" {
		t.Fatalf("got %v", got)
	}
	if got := decodeFailure("nonsense"); got == nil {
		t.Fatal("nonsense is no error")
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("h\n1\n2\np\n" + encodeTarget(&corral.Target{Keys: []string{"a"}, Tags: []string{"x"}}))
	f.Add("V\nt\n3\n1\n0\nab")
	f.Add("E\nt\n3\n1\n2\nab")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseNotice(text); err == nil {
			again, err := decodeTarget(encodeTarget(&n.target))
			if err != nil || !reflect.DeepEqual(again, n.target) {
				t.Errorf("%+v is read again as %+v, %v", n.target, again, err)
			}
		}
		if l, err := parseLetter(text); err == nil {
			if form, body, _, err := l.value(); err == nil && len(form)+len(body) > len(text) {
				t.Errorf("%q has a value of %d bytes", text, len(form)+len(body))
			}
			if _, failure, err := l.failure(); err == nil && decodeFailure(failure) == nil {
				t.Errorf("%q has a failure that is none", text)
			}
		}
	})
}
