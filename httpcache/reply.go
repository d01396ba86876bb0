package httpcache

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// A reply is what a client is answered with, beside the header that the door
// already has.
type reply struct {
	code    int
	text    []byte                  // the body, if there is no other
	body    *corral.Body            // nil: none. Whoever has the reply closes it
	part    io.Reader               // of body, when not all of it is wanted, or of several; perhaps an io.Closer
	bare    bool                    // no body is sent, whatever the header says of one
	trailer *trailer                // nil: none
	end     context.CancelCauseFunc // of the context that body is read under; nil: it is the request's
}

// close gives up the body.
func (r *reply) close() {
	if r.body != nil {
		r.body.Close()
	}
	if part, ok := r.part.(io.Closer); ok {
		part.Close()
	}
	if r.end != nil {
		r.end(nil)
	}
}

// ranged narrows a reply with a whole response to what the request wants of it
// (RFC 9110, section 14).
func (x *exchange) ranged(out *reply, v *response) {
	if x.r.Method != http.MethodGet || len(x.r.Header["Range"]) == 0 || v.status != http.StatusOK {
		return
	}
	size := v.length
	switch {
	case out.body == nil:
		size = int64(len(out.text))
	default:
		if arrived, whole := out.body.Len(); whole {
			size = arrived
		}
	}
	spans, code := httpsem.Select(x.r.Header, v.fields.header(), size)
	switch code {
	case http.StatusRequestedRangeNotSatisfiable:
		out.code, out.bare = code, true
		x.header["Content-Range"] = []string{httpsem.Unsatisfied(size)}
		x.header["Content-Length"] = []string{"0"}
		delete(x.header, "Content-Type")
	case http.StatusPartialContent:
		out.code = code
		if len(spans) == 1 {
			x.header["Content-Range"] = []string{httpsem.ContentRange(spans[0], size)}
			x.header["Content-Length"] = []string{strconv.FormatInt(spans[0].Length, 10)}
			out.part = &parts{body: out.body, spans: spans}
			return
		}
		multi := httpsem.NewMultipart(rand.Text(), v.fields.get("Content-Type"), spans, size)
		x.header["Content-Type"] = []string{multi.ContentType()}
		x.header["Content-Length"] = []string{strconv.FormatInt(multi.Length(), 10)}
		out.part = &parts{body: out.body, spans: spans, multi: &multi}
	}
}

// parts reads spans of a body, which are in order and do not overlap.
type parts struct {
	body  *corral.Body
	spans []httpsem.Span
	multi *httpsem.Multipart // nil: one part, with nothing around it
	at    int64              // how much of the body has been read
	next  int                // the span that comes, or whose bytes come
	text  *strings.Reader    // what stands before its bytes, and after all; nil: not begun
	end   bool               // text is the last
}

// Read implements io.Reader.
func (p *parts) Read(b []byte) (int, error) {
	for {
		if p.text == nil {
			p.begin()
		}
		if p.text.Len() > 0 {
			return p.text.Read(b)
		}
		if p.end {
			return 0, io.EOF
		}
		span := p.spans[p.next]
		if p.at < span.Start {
			n, err := p.body.Discard(span.Start - p.at)
			p.at += n
			if err != nil {
				return 0, short(err)
			}
		}
		left := span.Start + span.Length - p.at
		if left == 0 {
			p.next++
			p.text = nil
			continue
		}
		n, err := p.body.Read(b[:min(int64(len(b)), left)])
		p.at += int64(n)
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if err != nil {
			return 0, short(err)
		}
	}
}

// begin sets the text that comes now.
func (p *parts) begin() {
	p.end = p.next == len(p.spans)
	switch {
	case p.multi == nil:
		p.text = strings.NewReader("")
	case p.end:
		p.text = strings.NewReader(p.multi.Closing())
	default:
		p.text = strings.NewReader(p.multi.Preamble(p.next))
	}
}

// waits reports whether what comes next has yet to arrive.
func (p *parts) waits() bool {
	if p.next == len(p.spans) {
		return false
	}
	arrived, whole := p.body.Len()
	return !whole && arrived <= max(p.at, p.spans[p.next].Start)
}

// short is the error of a body that ends before the span does.
func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write sends a reply to a client of net/http's server.
func (out *reply) write(w http.ResponseWriter) {
	defer out.close()
	header := w.Header()
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // else net/http guesses at what the origin left open
	}
	if out.trailer != nil {
		delete(header, "Content-Length") // with which net/http sends none
		header["Trailer"] = out.trailer.names
	}
	w.WriteHeader(out.code)
	switch {
	case out.bare:
	case out.part != nil:
		copyPart(w, out.part)
	case out.body != nil:
		copyBody(w, out.body)
	case len(out.text) > 0:
		w.Write(out.text)
	}
	if out.trailer != nil {
		out.trailer.copyTo(header)
	}
}

// response makes a reply an http.Response, whose body the caller closes.
func (out *reply) response(r *http.Request, header http.Header) *http.Response {
	res := &http.Response{
		StatusCode: out.code, Status: strconv.Itoa(out.code) + " " + http.StatusText(out.code),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Request: r, Body: http.NoBody, ContentLength: -1,
	}
	if out.trailer != nil {
		res.Trailer = http.Header{}
		for _, name := range out.trailer.names {
			res.Trailer[name] = nil
		}
	}
	if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		res.ContentLength = length
	}
	switch {
	case out.bare:
		out.close()
		if r.Method != http.MethodHead {
			res.ContentLength = 0
		}
	case out.part != nil:
		res.Body = replyBody{out.part, out, res}
	case out.body != nil:
		res.Body = replyBody{out.body, out, res}
	default:
		res.ContentLength = int64(len(out.text))
		if len(out.text) > 0 {
			res.Body = io.NopCloser(strings.NewReader(string(out.text)))
		}
	}
	return res
}

// replyBody is the body of a response.
type replyBody struct {
	from io.Reader
	of   *reply
	res  *http.Response
}

// Read implements io.Reader. With its end the trailer is there.
func (b replyBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err == io.EOF && b.of.trailer != nil {
		b.of.trailer.copyTo(b.res.Trailer)
	}
	return n, err
}

// Close implements io.Closer.
func (b replyBody) Close() error {
	b.of.close()
	return nil
}

// copyBody sends a body as it arrives. When it ends early, or the client takes
// nothing for TailTimeout, the connection is aborted: the client must not take
// a part for the whole.
func copyBody(w http.ResponseWriter, body *corral.Body) {
	if _, whole := body.Len(); whole {
		if _, err := body.WriteTo(w); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	control := http.NewResponseController(w)
	if comesAtOnce(w.Header()) {
		out := &prompt{ResponseWriter: w, control: control}
		defer out.end()
		out.await()
		if _, err := body.WriteTo(out); err != nil {
			out.FlushError() // without a header clients would ask again by themselves
			panic(http.ErrAbortHandler)
		}
		return
	}
	out := &bodyWriter{to: w, control: control, body: body}
	if arrived, whole := body.Len(); arrived == 0 && !whole {
		out.control.Flush()
	}
	if _, err := body.WriteTo(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// copyPart is copyBody for what is read in parts.
func copyPart(w http.ResponseWriter, part io.Reader) {
	out := &partWriter{to: w, control: http.NewResponseController(w)}
	out.part, _ = part.(interface{ waits() bool })
	out.flush()
	if _, err := io.Copy(out, part); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// partWriter flushes when what comes next has yet to arrive.
type partWriter struct {
	to      io.Writer
	control *http.ResponseController
	part    interface{ waits() bool } // nil: it cannot tell
}

func (w *partWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.flush()
	return n, err
}

func (w *partWriter) flush() {
	if w.part != nil && w.part.waits() {
		w.control.Flush() // an error shows at the next Write
	}
}

// bodyWriter flushes when what has arrived is written and more is to come.
type bodyWriter struct {
	to      io.Writer
	control *http.ResponseController
	body    *corral.Body
	written int64
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.written += int64(n)
	if arrived, whole := w.body.Len(); w.written == arrived && !whole {
		w.control.Flush() // an error shows at the next Write
	}
	return n, err
}
