package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// An answer is what a client got. Times count from the moment at which its
// request was due.
type answer struct {
	status int           // 0: no header came
	first  time.Duration // to the first byte of the body
	took   time.Duration // to the end
	length int64
	whole  bool   // its framing says that it is all there
	right  bool   // it is, byte by byte, what the origin must have sent
	lead   []byte // its first bytes
	closes bool   // the connection cannot be used again
	err    error
}

// leadBytes is how much of a body an answer keeps.
const leadBytes = 16

// A verdict is what an answer is worth.
type verdict string

const (
	good      verdict = "good"
	failed    verdict = "error"     // a status that says so
	broken    verdict = "broken"    // a 200 whose end is missing, as the client can see
	truncated verdict = "truncated" // a 200 that looks whole and is not what the origin sent
	unheard   verdict = "none"      // nothing, or not in time
)

func (a answer) verdict() verdict {
	switch {
	case a.status == 0:
		return unheard
	case a.status != http.StatusOK:
		return failed
	case !a.whole:
		return broken
	case !a.right:
		return truncated
	}
	return good
}

// must is an error unless the answer to an order is good.
func (a answer) must(o order) error {
	if a.verdict() == good {
		return nil
	}
	return errors.Join(fmt.Errorf("GET %s: status %d, %s", o.uri(), a.status, a.verdict()), a.err)
}

// A watch gives the time since a request was due.
type watch func() time.Duration

// readAnswer reads one final answer to a GET from r and compares its body with
// want; with nil, any body is right.
func readAnswer(r *bufio.Reader, want []byte, since watch) (a answer) {
	defer func() { a.took = since() }()
	h, err := readHeader(r)
	if err != nil {
		a.err = err
		return a
	}
	a.status, a.closes = h.status, h.closes
	body := &bodyReader{answer: &a, want: want, since: since}
	switch {
	case h.chunked:
		err = body.chunks(r)
	case h.length >= 0:
		err = body.take(r, h.length)
	default:
		a.closes = true
		err = body.rest(r)
	}
	a.err, a.whole = err, err == nil
	a.right = want == nil || !body.wrong && a.length == int64(len(want))
	a.closes = a.closes || err != nil
	return a
}

// A header is what the framing of an answer needs.
type header struct {
	status  int
	length  int64 // -1: not told
	chunked bool
	closes  bool
}

// readHeader reads the header of the next final answer, past any 1xx.
func readHeader(r *bufio.Reader) (header, error) {
	for {
		h, err := readOneHeader(r)
		if err != nil || h.status >= 200 {
			return h, err
		}
	}
}

func readOneHeader(r *bufio.Reader) (header, error) {
	h := header{length: -1}
	line, err := readLine(r)
	if err != nil {
		return h, err
	}
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	if h.status, err = strconv.Atoi(string(code)); err != nil || h.status < 100 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return header{}, fmt.Errorf("read answer: status line %q", line)
	}
	h.closes = bytes.Equal(version, []byte("HTTP/1.0"))
	for {
		line, err := readLine(r)
		if err != nil {
			return header{}, err
		}
		if len(line) == 0 {
			return h, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || h.length < 0 {
				return header{}, fmt.Errorf("read answer: Content-Length %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			h.closes = bytes.EqualFold(value, []byte("close"))
		}
	}
}

// readLine is a line without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// A bodyReader takes a body off a connection and compares it as it comes.
type bodyReader struct {
	*answer
	want  []byte
	since watch
	wrong bool
}

// take reads n bytes of body, or says that they did not all come.
func (b *bodyReader) take(r *bufio.Reader, n int64) error {
	for n > 0 {
		if _, err := r.Peek(1); err != nil {
			return unexpected(err)
		}
		piece, err := r.Peek(int(min(n, int64(r.Buffered()))))
		if err != nil {
			return unexpected(err)
		}
		b.compare(piece)
		n -= int64(len(piece))
		if _, err := r.Discard(len(piece)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bodyReader) compare(piece []byte) {
	if b.length == 0 {
		b.first = b.since()
	}
	if room := leadBytes - len(b.lead); room > 0 {
		b.lead = append(b.lead, piece[:min(room, len(piece))]...)
	}
	from, to := b.length, b.length+int64(len(piece))
	b.length = to
	if b.want != nil && (to > int64(len(b.want)) || !bytes.Equal(piece, b.want[from:to])) {
		b.wrong = true
	}
}

// chunks reads a body in the chunked coding (RFC 9112, section 7.1), with its
// trailers.
func (b *bodyReader) chunks(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil {
			return unexpected(err)
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("read answer: chunk size %q", line)
		}
		if n == 0 {
			break
		}
		if err := b.take(r, n); err != nil {
			return err
		}
		if end, err := readLine(r); err != nil || len(end) > 0 {
			return errors.Join(errors.New("read answer: a chunk without its end"), err)
		}
	}
	for {
		line, err := readLine(r)
		if err != nil || len(line) == 0 {
			return unexpected(err)
		}
	}
}

// rest reads a body that ends with the connection.
func (b *bodyReader) rest(r *bufio.Reader) error {
	for {
		if _, err := r.Peek(1); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if err := b.take(r, int64(r.Buffered())); err != nil {
			return err
		}
	}
}

// unexpected says of an end that it came too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
