package corral

import (
	"errors"
	"strings"
)

// maxErrorText bounds what EncodeError makes of an error's text, in bytes: a
// panic's has a stack.
const maxErrorText = 4 << 10

// errorCodes are the errors that keep their meaning between processes, a bit
// each: an error may be several. The numbers are part of the protocol.
var errorCodes = [...]struct {
	bit    uint32
	target error
}{
	{1 << 0, ErrNotFound},
	{1 << 1, ErrLoadTimeout},
	{1 << 2, ErrPanic},
	{1 << 3, ErrCycle},
	{1 << 4, ErrOverloaded},
	{1 << 5, ErrOutage},
	{1 << 6, ErrUnavailable},
}

// The loader's own number stands in these bits of a code.
const (
	numberShift = 8
	numberBits  = 0xffff
)

// numbered is an error of a loader that has a meaning of its own.
type numbered interface{ ErrorNumber() uint16 }

// EncodeError makes of an error what a Coordinator sends to another process: a
// code for errors.Is, and the text, which is valid UTF-8 and is cut at 4 KiB.
// Of nil it makes 0 and "".
//
// What an error means to the loader's own program goes with it as a number: that
// of the first error in its chain with a method ErrorNumber() uint16.
func EncodeError(err error) (code uint32, text string) {
	if err == nil {
		return 0, ""
	}
	var own numbered
	if errors.As(err, &own) {
		code = uint32(own.ErrorNumber()) << numberShift
	}
	for _, known := range errorCodes {
		if errors.Is(err, known.target) {
			code |= known.bit
		}
	}
	text = err.Error()
	return code, strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
}

// DecodeError is the error that another process encoded: errors.Is holds for
// ErrNotFound, ErrLoadTimeout, ErrPanic, ErrCycle, ErrOverloaded, ErrOutage and
// ErrUnavailable as it did there, and its method ErrorNumber gives the number
// that it had there, 0 for none. A bit of the code that this version does not
// know says nothing. It is never nil.
func DecodeError(code uint32, text string) error {
	return &foreignError{code, text}
}

// A foreignError is what a load in another process came to.
type foreignError struct {
	code uint32
	text string
}

func (e *foreignError) Error() string { return e.text }

// ErrorNumber is the number that the error had where it comes from.
func (e *foreignError) ErrorNumber() uint16 { return uint16(e.code >> numberShift & numberBits) }

func (e *foreignError) Is(target error) bool {
	for _, known := range errorCodes {
		if target == known.target {
			return e.code&known.bit != 0
		}
	}
	return false
}
