package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A reading is an answer to a GET that arrives, in pieces of any size, and is
// compared with want as it does; with nil, any body is right.
//
//	state      what comes next
//	atStatus   a status line
//	inHeader   a header line
//	inBody     left bytes of the body, or of a chunk of it
//	inRest     a body that ends with the connection
//	atChunk    the size of a chunk
//	afterChunk the end of a chunk's line
//	inTrailer  a trailer line
//	ended      nothing: the answer is settled
type reading struct {
	answer
	want  []byte
	since func() time.Duration // since the request was due

	state state
	line  []byte // the begin of a line whose end has not come
	head  header
	left  int64
	wrong bool
}

type state int

const (
	atStatus state = iota
	inHeader
	inBody
	inRest
	atChunk
	afterChunk
	inTrailer
	ended
)

// A header is what the framing of an answer needs.
type header struct {
	status  int
	length  int64 // -1: not told
	chunked bool
	closes  bool
}

// maxLine bounds a line of header or framing, in bytes.
const maxLine = 16 << 10

// feed takes what has arrived and reports whether the answer is settled by it.
func (r *reading) feed(p []byte) (settled bool) {
	for len(p) > 0 && r.state != ended {
		switch r.state {
		case inBody:
			n := min(r.left, int64(len(p)))
			r.compare(p[:n])
			p, r.left = p[n:], r.left-n
			if r.left == 0 {
				r.pieceEnded()
			}
		case inRest:
			r.compare(p)
			return false
		default:
			before, after, found := bytes.Cut(p, []byte("\n"))
			if r.line = append(r.line, before...); len(r.line) > maxLine {
				r.settle(fmt.Errorf("read answer: a line of more than %d bytes", maxLine))
				break
			}
			if p = after; found {
				r.takeLine(bytes.TrimSuffix(r.line, []byte("\r")))
				r.line = r.line[:0]
			}
		}
	}
	return r.state == ended
}

// end settles an answer after which the connection gives nothing any more.
func (r *reading) end(err error) {
	r.closes = true
	if r.state == inRest && err == io.EOF {
		err = nil
	}
	r.settle(err)
}

func (r *reading) settle(err error) {
	r.closes = r.closes || r.head.closes || err != nil
	if r.state > inHeader {
		r.status = r.head.status
		r.whole = err == nil
		r.right = r.want == nil || !r.wrong && r.length == int64(len(r.want))
	}
	r.state, r.err, r.took = ended, err, r.since()
}

func (r *reading) compare(piece []byte) {
	if r.length == 0 {
		r.first = r.since()
	}
	if room := leadBytes - len(r.lead); room > 0 {
		r.lead = append(r.lead, piece[:min(room, len(piece))]...)
	}
	from, to := r.length, r.length+int64(len(piece))
	r.length = to
	if r.want != nil && (to > int64(len(r.want)) || !bytes.Equal(piece, r.want[from:to])) {
		r.wrong = true
	}
}

func (r *reading) takeLine(line []byte) {
	var err error
	switch r.state {
	case atStatus:
		r.state = inHeader
		if r.head, err = statusLine(line); err != nil {
			r.settle(err)
		}
	case inHeader:
		if len(line) == 0 {
			r.headerEnded()
		} else if err := r.head.take(line); err != nil {
			r.settle(err)
		}
	case atChunk:
		size, _, _ := bytes.Cut(line, []byte(";"))
		if r.left, err = strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64); err != nil || r.left < 0 {
			r.settle(fmt.Errorf("read answer: chunk size %q", line))
		} else if r.state = inBody; r.left == 0 {
			r.state = inTrailer
		}
	case afterChunk:
		if r.state = atChunk; len(line) > 0 {
			r.settle(fmt.Errorf("read answer: %q after a chunk", line))
		}
	case inTrailer:
		if len(line) == 0 {
			r.settle(nil)
		}
	}
}

// headerEnded chooses the framing (RFC 9112, section 6.3).
func (r *reading) headerEnded() {
	switch {
	case r.head.status < 200:
		r.state = atStatus // an interim answer; the final one follows
	case r.head.chunked:
		r.state = atChunk
	case r.head.length > 0:
		r.state, r.left = inBody, r.head.length
	case r.head.length == 0:
		r.state = inBody
		r.settle(nil)
	default:
		r.state = inRest
	}
}

// pieceEnded follows the last byte of a body or of a chunk.
func (r *reading) pieceEnded() {
	if r.head.chunked {
		r.state = afterChunk
	} else {
		r.settle(nil)
	}
}

func statusLine(line []byte) (header, error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, err := strconv.Atoi(string(code))
	if err != nil || status < 100 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return header{}, fmt.Errorf("read answer: status line %q", line)
	}
	return header{status: status, length: -1, closes: bytes.Equal(version, []byte("HTTP/1.0"))}, nil
}

// take reads a header line.
func (h *header) take(line []byte) (err error) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || h.length < 0 {
			return fmt.Errorf("read answer: Content-Length %q", value)
		}
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Connection")):
		h.closes = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}
