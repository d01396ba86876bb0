package httpcache_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// multiplexed is a client of HTTP/2 (RFC 9113) that sends what it is told to,
// with one goroutine for all its streams and hardly any memory, so that what
// thousands of its requests cost is the server's.
type multiplexed struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	out  chan string // which a goroutine sends: a pipe has no room, and the server writes too
}

// Kinds of frames (RFC 9113, section 6).
const (
	frameData = iota
	frameHeaders
	_
	frameReset
	frameSettings
	_
	_
	frameGoAway
	frameWindow
	frameContinuation

	endStream  = 1
	endHeaders = 4
)

// multiplexed opens a connection. Each stream takes window bytes of content.
func (w *world) multiplexed(window uint32) *multiplexed {
	w.t.Helper()
	conn, err := w.dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return startMultiplexed(w.t, conn, window)
}

func startMultiplexed(t *testing.T, conn net.Conn, window uint32) *multiplexed {
	c := &multiplexed{t: t, conn: conn, in: bufio.NewReader(conn), out: make(chan string, 1000)}
	go func() {
		for frames := range c.out {
			io.WriteString(conn, frames)
		}
	}()
	t.Cleanup(c.close)
	conn.SetDeadline(time.Now().Add(time.Minute))
	setting := func(id uint16, value uint32) string {
		return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value))
	}
	c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		frame(frameSettings, 0, 0, setting(1, 0)+setting(4, window)) + // a header says what it says: no table of fields
		frame(frameWindow, 0, 0, string(binary.BigEndian.AppendUint32(nil, 1<<30))))
	return c
}

func (c *multiplexed) send(frames string) { c.out <- frames }

func (c *multiplexed) close() {
	c.conn.Close()
	if c.out != nil {
		close(c.out)
		c.out = nil
	}
}

// request sends a GET on a stream with fields in addition, which are names and
// values in turn.
func (c *multiplexed) request(stream uint32, fields ...string) {
	c.send(frame(frameHeaders, endStream|endHeaders, stream, literals(append([]string{":method", "GET", ":scheme", "http", ":authority", "shop.test"}, fields...))))
}

// next is the next frame of a stream.
func (c *multiplexed) next() (kind, flags byte, stream uint32, payload []byte, err error) {
	head := make([]byte, 9)
	for {
		if _, err = io.ReadFull(c.in, head); err != nil {
			return
		}
		payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err = io.ReadFull(c.in, payload); err != nil {
			return
		}
		kind, flags, stream = head[3], head[4], binary.BigEndian.Uint32(head[5:])
		if stream != 0 || kind == frameGoAway {
			return
		}
	}
}

// An h2Answer is what comes back on a stream.
type h2Answer struct {
	status string // "reset": refused
	body   string
	whole  bool
}

// answers reads the frames of n streams to their ends, or to that of the
// connection.
func (c *multiplexed) answers(n int) map[uint32]*h2Answer {
	c.t.Helper()
	all := map[uint32]*h2Answer{}
	for ended := 0; ended < n; {
		kind, flags, stream, payload, err := c.next()
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				c.t.Errorf("%d of %d streams have ended: %v", ended, n, err)
			}
			return all
		}
		if all[stream] == nil {
			all[stream] = new(h2Answer)
		}
		switch a := all[stream]; kind {
		case frameHeaders:
			a.status = statusOf(payload)
		case frameData:
			a.body += string(payload)
		case frameReset:
			a.status = "reset"
			ended++
			continue
		}
		if (kind == frameHeaders || kind == frameData) && flags&endStream != 0 {
			all[stream].whole = true
			ended++
		}
	}
	return all
}

// statusOf reads the status out of a field block without a table (RFC 7541): it
// is the first field, and has an index of its own or stands there as text.
func statusOf(block []byte) string {
	block = bytes.TrimPrefix(block, []byte{0x20}) // that there is no table
	if i := int(block[0]) - 0x88; i >= 0 && i < 7 {
		return [...]string{"200", "204", "206", "304", "400", "404", "500"}[i]
	}
	switch {
	case len(block) > 5 && block[1] == 3:
		return string(block[2:5])
	case bytes.HasPrefix(block[1:], []byte("\x82\x68\x41")): // in the code of Huffman
		return "421"
	}
	return fmt.Sprintf("%q", block)
}

// frame is one of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string(binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)) + payload
}

// literals is a field block without compression (RFC 7541, section 6.2.3).
func literals(fields []string) string {
	var b strings.Builder
	for i, text := range fields {
		if i%2 == 0 {
			b.WriteByte(0x10)
		}
		n := len(text)
		b.WriteByte(byte(min(n, 127)))
		if n >= 127 { // section 5.1
			for n -= 127; n >= 128; n /= 128 {
				b.WriteByte(byte(n%128 + 128))
			}
			b.WriteByte(byte(n))
		}
		b.WriteString(text)
	}
	return b.String()
}
