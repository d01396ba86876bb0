package httpcache

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// item judges an answer. prev is what the entry has, or nil; length that of the
// body, or -1.
func (f *fetch) item(x httpsem.Exchange, name string, prev *corral.Item[*response], length int64) corral.Item[*response] {
	status, contentRange := x.Status, x.Response.Get("Content-Range")
	partial := f.part != nil && f.partial(&x)
	policy := f.judge(x)
	if f.part != nil && !partial { // it is looked at, and answers nobody
		policy.Outcome, policy.Reason = httpsem.Pass, httpsem.ReasonPartial
	}
	if policy.Outcome == httpsem.Keep && length > f.route.MaxObjectBytes {
		policy.Outcome, policy.Reason = httpsem.Share, httpsem.ReasonTooLarge
	}
	passTTL := f.route.PassTTL
	if policy.Outcome > httpsem.Pass && !f.c.Private && faultsTheClient(x.Status) {
		policy.Outcome, policy.Reason, passTTL = httpsem.Pass, httpsem.ReasonStatus, -1
	}
	header := httpsem.StoredHeader(x.Response, x.Received)
	if partial {
		header["Content-Range"] = []string{contentRange}
	}
	tags := append([]string{f.tag}, f.tags(header)...)
	f.separate(header, f.leaders(&policy))
	v := newResponse(status, &policy, header, f.sent(), length)
	item := corral.Item[*response]{
		Value: v, Jitter: -1, Tags: tags,
		TTL: policy.TTL(), StaleFor: policy.StaleFor, StaleOnError: policy.StaleOnError, StaleOnOutage: policy.StaleOnOutage,
		PassTTL: passTTL,
	}
	if item.TTL <= 0 { // stale already, and within windows that count from then
		for _, window := range [...]*time.Duration{&item.StaleFor, &item.StaleOnError, &item.StaleOnOutage} {
			if *window != corral.Forever {
				*window += item.TTL
			}
		}
		item.TTL = -1
	}
	if item.StaleOnOutage == 0 {
		item.StaleOnOutage = -1 // none; zero would be that of StaleOnError
	}
	switch policy.Outcome {
	case httpsem.Keep:
		f.keepVariant(v, name, prev)
	case httpsem.Validate:
		item.Outcome = corral.Validate
	case httpsem.Share:
		item.Outcome = corral.Share
	case httpsem.Pass:
		item.Outcome = corral.Pass
	}
	return item
}

// judge decides what becomes of an answer: what has a key of its own identity
// is judged as by a private cache.
func (f *fetch) judge(x httpsem.Exchange) httpsem.Policy {
	cache := f.route.cache
	cache.Private = cache.Private || f.route.Key.identity() && f.route.Key.identified(f.sent())
	return cache.Judge(x)
}

// faultsTheClient reports whether a status says that the origin did not like how
// it was asked: by a field, perhaps, that is not in the key. Then it is an answer
// to this one client whatever lifetime it has, and says nothing about others:
// else a header of some kilobytes would replace a page for all.
func faultsTheClient(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusExpectationFailed, http.StatusMisdirectedRequest,
		http.StatusUpgradeRequired, http.StatusPreconditionRequired, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// tags takes the fields that name an answer's tags out of its header.
func (f *fetch) tags(header http.Header) []string {
	if len(f.route.TagFields) == 0 {
		return nil
	}
	tags := httpsem.Tags(header, f.route.TagFields)
	for i, tag := range tags {
		tags[i] = tagPrefix + tag
	}
	for _, field := range f.route.TagFields {
		header.Del(field)
	}
	return tags[:min(len(tags), maxTags)]
}

// maxTags bounds the tags of a response: what the cache takes less the
// address's own.
const maxTags = 127

// leaders are the fields that only the request which began the fetch is given.
// In a cache for one user that is Set-Cookie too: told again from the cache it
// would put an old cookie in the place of a newer one.
func (f *fetch) leaders(policy *httpsem.Policy) []string {
	if !f.c.Private || f.route.cache.SetCookie {
		return policy.Qualified
	}
	return append(slices.Clip(policy.Qualified), "Set-Cookie", "Set-Cookie2")
}

// separate takes fields out of a header that are for one requester only (RFC
// 9111, sections 5.2.2.4 and 5.2.2.7).
func (f *fetch) separate(header http.Header, names []string) {
	own := http.Header{}
	for _, name := range names {
		if values, ok := header[name]; ok {
			own[name] = values
			delete(header, name)
		}
	}
	if len(own) > 0 {
		f.own.Store(&own)
	}
}

// stream lets the body follow the header.
func (f *fetch) stream(item corral.Item[*response], res *http.Response, name string) corral.Item[*response] {
	if res.Body == http.NoBody || f.key.Method == http.MethodHead {
		res.Body.Close()
		return item
	}
	if item.Outcome == corral.Pass && len(res.Trailer) > 0 {
		item.Value.trailer = &trailer{slices.Sorted(maps.Keys(res.Trailer)), res.Trailer}
	}
	item.TailSize = max(res.ContentLength, 0)
	if limit := f.route.MaxObjectBytes; limit < f.c.MaxObjectBytes || f.c.MaxObjectBytes == 0 && limit < f.c.MaxBytes {
		res.Body = &bounded{ReadCloser: res.Body, left: limit, over: func() { f.d.forget(name) }}
	}
	item.Tail = func(_ context.Context, w io.Writer) error {
		defer res.Body.Close()
		return copyAll(w, res.Body)
	}
	return item
}

// bounded is a body of unknown length under a rule's MaxObjectBytes: over it
// the response is not kept any more, and goes on to those who read it.
type bounded struct {
	io.ReadCloser
	left int64
	over func() // called once
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if was := b.left; was >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.over()
		}
	}
	return n, err
}
