package corral

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAnErrorMeansInAnotherProcessWhatItMeantHere(t *testing.T) {
	crossing := []error{ErrNotFound, ErrLoadTimeout, ErrPanic, ErrCycle, ErrOverloaded, ErrOutage, ErrUnavailable}
	for _, row := range []struct {
		err  error
		code uint32
		is   []error
	}{
		{ErrNotFound, 1, []error{ErrNotFound}},
		{ErrLoadTimeout, 2 | 32, []error{ErrLoadTimeout, ErrOutage}},
		{&PanicError{Value: "boom"}, 4, []error{ErrPanic}},
		{ErrCycle, 8, []error{ErrCycle}},
		{overloaded("MaxLoads", 1), 16, []error{ErrOverloaded}},
		{Outage(io.EOF), 32, []error{ErrOutage}},
		{ErrUnavailable, 64, []error{ErrUnavailable}},
		{&LoadError{Key: "a", Err: Outage(fmt.Errorf("deep: %w", ErrNotFound))}, 1 | 32, []error{ErrNotFound, ErrOutage}},
		{errors.New("the table is gone"), 0, nil},
		{ErrClosed, 0, nil}, // a process's own affair
	} {
		code, text := EncodeError(row.err)
		if code != row.code || text != row.err.Error() {
			t.Errorf("EncodeError(%v) gave %d, %q, want %d", row.err, code, text, row.code)
		}
		back := &LoadError{Err: DecodeError(code, text)}
		for _, target := range append(crossing, ErrClosed, io.EOF) {
			want := false
			for _, is := range row.is {
				want = want || is == target
			}
			if got := errors.Is(back, target); got != want {
				t.Errorf("after %v, errors.Is(%v) is %v, want %v", row.err, target, got, want)
			}
		}
		if back.Err.Error() != text {
			t.Errorf("the text became %q, want %q", back.Err, text)
		}
		if again, _ := EncodeError(back); again != code {
			t.Errorf("sent on, code %d becomes %d", code, again)
		}
	}
}

func TestNoErrorIsNoCode(t *testing.T) {
	if code, text := EncodeError(nil); code != 0 || text != "" {
		t.Errorf("EncodeError(nil) gave %d, %q", code, text)
	}
	for _, code := range []uint32{0, 1 << 31} {
		if err := DecodeError(code, "text"); err == nil || err.Error() != "text" || errors.Is(err, ErrNotFound) {
			t.Errorf("DecodeError(%d) gave %v", code, err)
		}
	}
}

// teapot is an error that means something to the loader's program.
type teapot struct{ error }

func (teapot) ErrorNumber() uint16 { return 0xfe12 }

func TestTheNumberOfALoadersErrorCrosses(t *testing.T) {
	for _, row := range []struct {
		err    error
		code   uint32
		number uint16
	}{
		{teapot{io.EOF}, 0xfe1200, 0xfe12},
		{RetryAfter(Outage(fmt.Errorf("boil: %w", teapot{io.EOF})), 1), 0xfe1220, 0xfe12},
		{io.EOF, 0, 0},
	} {
		code, text := EncodeError(&LoadError{Err: row.err})
		if code != row.code {
			t.Errorf("EncodeError(%v) gave code %#x, want %#x", row.err, code, row.code)
		}
		var own numbered
		if back := DecodeError(code|1<<31, text); !errors.As(back, &own) || own.ErrorNumber() != row.number {
			t.Errorf("after %v the number is %#x, want %#x", row.err, own.ErrorNumber(), row.number)
		}
	}
}

func FuzzTextsOfErrorsAreValidAndBounded(f *testing.F) {
	f.Add("plain")
	f.Add(strings.Repeat("é", maxErrorText))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		_, sent := EncodeError(errors.New(text))
		if !utf8.ValidString(sent) || len(sent) > maxErrorText {
			t.Fatalf("%d bytes, valid %v", len(sent), utf8.ValidString(sent))
		}
		if len(text) <= maxErrorText && utf8.ValidString(text) && sent != text {
			t.Fatalf("got %q, want %q", sent, text)
		}
	})
}
