package corral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestErrorsReadAsSentencesAndUnwrapToTheirCause(t *testing.T) {
	sentinels := []error{
		ErrInvalidKey, ErrNoLoader, ErrNotFound, ErrLoadTimeout, ErrOverloaded, ErrCycle, ErrPanic,
		ErrBroken, ErrUnavailable, ErrNotAcknowledged, ErrClosed, errAbandoned,
	}
	for i, one := range sentinels {
		if !strings.HasPrefix(one.Error(), "corral: ") || strings.HasSuffix(one.Error(), ".") {
			t.Errorf("%q does not read as an error of this package", one)
		}
		for j, other := range sentinels {
			if errors.Is(one, other) != (i == j) {
				t.Errorf("errors.Is(%v, %v) is %v", one, other, i != j)
			}
		}
	}
	for _, test := range []struct {
		err  error
		text string
		is   []error
	}{
		{&LoadError{Cache: "products", Key: "a\n", Err: io.EOF}, `corral: load products "a\n": EOF`, []error{io.EOF}},
		{&LoadError{Cache: "c", Key: "k", Err: ErrNotFound, RetryAfter: 1500 * time.Millisecond},
			`corral: load c "k": corral: not found (not tried again for 1.5s)`, []error{ErrNotFound}},
		{&ManyError{}, "corral: no key failed", nil},
		{&ManyError{map[string]error{"b": io.EOF}}, "EOF", []error{io.EOF}},
		{&ManyError{map[string]error{"b": io.EOF, "a": ErrNotFound, "c": io.EOF}}, `corral: 3 keys failed, "a" among them: corral: not found`, []error{io.EOF, ErrNotFound}},
		{&PanicError{Value: "boom", Stack: []byte("stack")}, "corral: loader panicked: boom\nstack", []error{ErrPanic}},
		{&PanicError{Value: io.EOF, Stack: []byte("stack")}, "corral: loader panicked: EOF\nstack", []error{ErrPanic, io.EOF}},
		{&PanicError{Goexit: true, Stack: []byte("stack")}, "corral: loader called runtime.Goexit\nstack", []error{ErrPanic}},
		{RetryAfter(io.EOF, time.Second), "EOF", []error{io.EOF}},
		{NoRetry(io.EOF), "EOF", []error{io.EOF}},
		{overloaded("MaxLoads", 3), "corral: overloaded: MaxLoads 3 reached", []error{ErrOverloaded}},
		{fmt.Errorf("outside: %w", &LoadError{Err: NoRetry(RetryAfter(context.Canceled, 1))}), `outside: corral: load  "": context canceled`, []error{context.Canceled}},
	} {
		if got := test.err.Error(); got != test.text {
			t.Errorf("got %q, want %q", got, test.text)
		}
		for _, target := range append(sentinels, io.EOF, context.Canceled) {
			want := false
			for _, is := range test.is {
				want = want || is == target
			}
			if got := errors.Is(test.err, target); got != want {
				t.Errorf("errors.Is(%q, %v): got %v, want %v", test.err, target, got, want)
			}
		}
	}
}

func TestAdviceOnNoErrorIsNoError(t *testing.T) {
	if err := RetryAfter(nil, time.Second); err != nil {
		t.Errorf("RetryAfter(nil): got %v", err)
	}
	if err := NoRetry(nil); err != nil {
		t.Errorf("NoRetry(nil): got %v", err)
	}
}

func TestALoaderThatDoesNotReturnIsAnErrorWithItsStack(t *testing.T) {
	for name, test := range map[string]struct {
		do     func()
		value  string
		goexit bool
	}{
		"panic":      {func() { panic("boom") }, "boom", false},
		"panic(nil)": {func() { panic(nil) }, "panic called with nil argument", false},
		"Goexit":     {runtime.Goexit, "<nil>", true},
		"an index":   {func() { var list []int; _ = list[len(name32)] }, "index out of range", false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := open(t, Func(func(context.Context, string) (string, error) { test.do(); return "", nil }), Options[string]{})
				_, err := c.Get(t.Context(), "a")
				var failure *LoadError
				var panicked *PanicError
				if !errors.As(err, &failure) || failure.Key != "a" || !errors.As(err, &panicked) || !errors.Is(err, ErrPanic) {
					t.Fatalf("got %v, want a LoadError of a PanicError", err)
				}
				if got := fmt.Sprint(panicked.Value); !strings.Contains(got, test.value) || panicked.Goexit != test.goexit {
					t.Errorf("got %q, Goexit %v, want %q, %v", got, panicked.Goexit, test.value, test.goexit)
				}
				if !strings.Contains(string(panicked.Stack), "errors_test.go") {
					t.Errorf("the stack does not lead to the loader:\n%s", panicked.Stack)
				}
			})
		})
	}
}

const name32 = "a name that is longer than no list"
