package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// What is too large to be kept whole is kept in slices: entries of their own,
// each fetched once by a request for its range however many clients want it.
// An answer is put together of them as RFC 9111, section 3.4, allows: as long
// as all have the strong validator of the response that was too large.

// errChanged says that two slices are not of one version.
var errChanged = errors.New("httpcache: what was asked for changed while it was fetched in parts")

// sliced answers a request for a range of a response that is kept in slices.
func (x *exchange) sliced(v *response) decision {
	spans, code := httpsem.Select(x.r.Header, v.fields.header(), v.length)
	whole, ok := x.route.sliceable(v)
	if !ok || code != http.StatusPartialContent || len(spans) != 1 || conditional(x.r.Header) {
		return x.part()
	}
	s := &sliceReader{x: x, of: whole, size: v.length, at: spans[0].Start, end: spans[0].Start + spans[0].Length}
	from := x.d.now()
	first, info, err := s.fetch(x.r.Context())
	switch {
	case errors.Is(err, errChanged):
		x.d.large.drop(x.f.name)
		return x.part()
	case err != nil:
		return x.answerError(httpsem.FwdURIMiss, err)
	}
	first.fields.copyTo(x.header)
	x.header["Content-Range"] = []string{httpsem.ContentRange(spans[0], v.length)}
	x.header["Content-Length"] = []string{strconv.FormatInt(spans[0].Length, 10)}
	a := answer{f: s.loader, item: corral.Item[*response]{Value: first}, info: info, fwd: httpsem.FwdURIMiss, from: from}
	x.age(&a, code)
	return decision{reply: reply{code: code, part: s}}
}

// A sliceReader reads a range of a response from the slices in which it is kept.
type sliceReader struct {
	x      *exchange
	size   int64 // of the whole
	at     int64 // the next byte, and the first that is not wanted
	end    int64
	body   *corral.Body // of the slice that at is in; nil: it is to be fetched
	left   int64        // of it
	of     httpsem.Parts
	loader *fetch // of the last slice
}

// fetch gets the slice that the next byte is in, and sees that it belongs to
// the response of which the others are.
func (s *sliceReader) fetch(ctx context.Context) (*response, corral.Info, error) {
	start := s.at / sliceBytes * sliceBytes
	span := httpsem.Span{Start: start, Length: min(sliceBytes, s.size-start)}
	s.loader = s.x.f.slice(span)
	s.loader.sent()
	item, info, err := s.x.d.cache.GetWith(ctx, s.loader.name, s.loader)
	if err != nil {
		return nil, info, err
	}
	parts, ok := httpsem.PartsOf(item.Value.fields.header())
	if ok {
		_, ok = httpsem.Combine(s.of, parts)
	}
	if !ok || item.Value.status != http.StatusPartialContent || parts.Spans[0] != span || item.Body == nil {
		closeBody(item)
		s.x.d.forget(s.loader.name)
		return nil, info, errChanged
	}
	s.body = item.Body
	if _, whole := s.body.Len(); !whole && info.Kept {
		s.x.d.readOn(s.loader.name) // the next one wants another part of it
	}
	skip := s.at - start
	if _, err := s.body.Discard(skip); err != nil {
		return nil, info, short(err)
	}
	s.left = min(span.Length-skip, s.end-s.at)
	return item.Value, info, nil
}

// Read implements io.Reader.
func (s *sliceReader) Read(b []byte) (int, error) {
	for s.body == nil || s.left == 0 {
		s.Close()
		if s.at == s.end {
			return 0, io.EOF
		}
		if _, _, err := s.fetch(s.x.r.Context()); err != nil {
			return 0, err
		}
	}
	n, err := s.body.Read(b[:min(int64(len(b)), s.left)])
	s.at += int64(n)
	s.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, short(err)
}

// Close gives up what has not been read.
func (s *sliceReader) Close() error {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
	return nil
}

// slice is the fetch of a part of what a fetch asks for.
func (f *fetch) slice(span httpsem.Span) *fetch {
	part := &fetch{
		d: f.d, c: f.c, route: f.route, key: f.key, tag: f.tag, part: &span,
		name:     f.name + "\nbytes=" + strconv.FormatInt(span.Start, 10),
		incoming: f.incoming, major: f.major, minor: f.minor,
	}
	part.once.Do(func() { part.outgoing = part.ranged(f.sent().Clone()) })
	return part
}

// ranged makes a request ask for the fetch's part.
func (f *fetch) ranged(h http.Header) http.Header {
	if f.part != nil {
		h["Range"] = []string{fmt.Sprintf("bytes=%d-%d", f.part.Start, f.part.Start+f.part.Length-1)}
	}
	return h
}

// partial makes the exchange of a part one that can be judged: as the answer
// with the whole would be. It is not ok for an answer that is not that part.
func (f *fetch) partial(x *httpsem.Exchange) bool {
	if x.Status != http.StatusPartialContent {
		return false
	}
	parts, ok := httpsem.PartsOf(httpsem.StoredHeader(x.Response, x.Received))
	if !ok || parts.Spans[0] != *f.part {
		return false
	}
	header := x.Response.Clone()
	delete(header, "Content-Range")
	x.Status, x.Response = http.StatusOK, header
	return true
}
