package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A client asks a model.
type client struct {
	http *http.Client
	api  *url.URL
}

// An answer is a completion as a client has read it.
type answer struct {
	raw         []byte // as it came
	tokens      []string
	first, last time.Duration // when the tokens came, since the request
	status      string        // Cache-Status
}

func (a *answer) text() string { return strings.Join(a.tokens, "") }

// ask reads a completion token by token.
func (c client) ask(ctx context.Context, question string) (a answer, err error) {
	content, err := json.Marshal(request{Model: "fake-1", Stream: true, Messages: []message{{"user", question}}})
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.api.JoinPath("/v1/chat/completions").String(), bytes.NewReader(content))
	if err != nil {
		return a, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer the-team's-key")
	start := time.Now()
	res, err := c.http.Do(r)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return a, fmt.Errorf("the model answered %s", res.Status)
	}
	a.status = res.Header.Get("Cache-Status")
	return a, a.read(res.Body, start)
}

// read reads events up to the one that ends a completion.
func (a *answer) read(body io.Reader, start time.Time) error {
	var raw bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(body, &raw))
	ended := false
	for lines.Scan() {
		data, event := strings.CutPrefix(lines.Text(), "data: ")
		if !event {
			continue
		}
		if data == end {
			ended = true
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil || len(c.Choices) == 0 {
			return fmt.Errorf("event %q: %w", data, errors.Join(err, errors.New("it has no token")))
		}
		a.last = time.Since(start)
		if len(a.tokens) == 0 {
			a.first = a.last
		}
		a.tokens = append(a.tokens, c.Choices[0].Delta.Content)
	}
	a.raw = raw.Bytes()
	if err := lines.Err(); err != nil {
		return err
	}
	if !ended {
		return io.ErrUnexpectedEOF
	}
	return nil
}
