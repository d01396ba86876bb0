package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// watch asks a server how it is until ctx ends. New connections each time: that
// the server takes them is part of the question, and those for requests may all
// be in use.
func (p *Pool) watch(ctx context.Context, s *server) {
	transport := newTransport(p.o, s.http2)
	transport.DisableKeepAlives = true
	defer transport.CloseIdleConnections()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		err := p.question(ctx, s, transport)
		if ctx.Err() != nil {
			return
		}
		p.note(s, err)
		pause.Reset(p.o.Health.pause(rand.Float64()))
	}
}

// pause is the time to the next question, by a number in [0, 1).
func (h Health) pause(random float64) time.Duration {
	part := max(h.Jitter, 0) * (2*random - 1)
	return h.Interval + time.Duration(part*float64(h.Interval))
}

// question is how a server is; nil is well.
func (p *Pool) question(ctx context.Context, s *server, transport *http.Transport) error {
	h := p.o.Health
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	path, err := url.ParseRequestURI(h.Path)
	if err != nil {
		return err
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: s.direct(path), Host: h.Host, Header: http.Header{"User-Agent": {"corral"}},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode < h.MinStatus || res.StatusCode > h.MaxStatus {
		return fmt.Errorf("status %d is not from %d to %d", res.StatusCode, h.MinStatus, h.MaxStatus)
	}
	return nil
}

// note takes the answer to a question.
func (p *Pool) note(s *server, err error) {
	p.mu.Lock()
	s.questions++
	if err != nil {
		s.failedQuestions++
	}
	changed := s.standing.asked(err == nil)
	p.admitLocked(time.Now())
	p.mu.Unlock()
	switch {
	case !changed:
	case err == nil:
		p.tell(s, true, "a server is well again")
	default:
		p.tell(s, false, fmt.Sprintf("a server is not well: %v", err))
	}
}
