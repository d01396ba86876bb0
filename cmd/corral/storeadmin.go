package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/corralcache/corral/server"
)

// A remoteStore is that of a running serve, asked through its admin listener.
type remoteStore struct{ *adminClient }

func (r remoteStore) close() error { return nil }

func (r remoteStore) counting() bool { return true }

func (r remoteStore) failed(path string, err error) error {
	return fmt.Errorf("corral: ask %s%s: %w: --admin says where a running serve listens; --dir or --redis.url opens a store itself", r.Admin, path, err)
}

func (r remoteStore) stat(ctx context.Context) (status server.StoreStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	raw, err := r.request(ctx, http.MethodGet, "/store/stat")
	if err == nil {
		err = json.Unmarshal(raw, &status)
	}
	if err != nil {
		return status, r.failed("/store/stat", err)
	}
	return status, nil
}

// errCutOff is an answer without its last line.
var errCutOff = errors.New("the answer was cut off: perhaps the process was stopped")

// lines reads an answer line by line.
func (r remoteStore) lines(ctx context.Context, method, path string, yield func(server.StoreLine) error) error {
	body, err := r.stream(ctx, method, path, nil)
	if err != nil {
		return r.failed(path, err)
	}
	defer body.Close()
	for decoder := json.NewDecoder(body); ; {
		var line server.StoreLine
		if err := decoder.Decode(&line); err != nil {
			return r.failed(path, errors.Join(errCutOff, err))
		}
		if err := yield(line); err != nil || line.End != nil {
			return err
		}
	}
}

func (r remoteStore) list(ctx context.Context, prefix string, limit int64, yield func(server.StoreLine) error) error {
	return r.lines(ctx, http.MethodGet, fmt.Sprintf("/store/entries?prefix=%s&limit=%d", url.QueryEscape(prefix), limit), yield)
}

func (r remoteStore) verify(ctx context.Context, yield func(server.StoreLine) error) error {
	return r.lines(ctx, http.MethodPost, "/store/verify", yield)
}

func (r remoteStore) get(ctx context.Context, key string) (*server.StoreValue, io.ReadCloser, error) {
	path := "/store/entry?key=" + url.QueryEscape(key)
	body, err := r.stream(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, nil, r.failed(path, err)
	}
	value, decoder := new(server.StoreValue), json.NewDecoder(body)
	if err := decoder.Decode(value); err != nil {
		body.Close()
		return nil, nil, r.failed(path, err)
	}
	content := io.MultiReader(decoder.Buffered(), body)
	if _, err := io.ReadFull(content, make([]byte, 1)); err != nil { // the line's end
		body.Close()
		return nil, nil, r.failed(path, err)
	}
	return value, struct {
		io.Reader
		io.Closer
	}{content, body}, nil
}

func (r remoteStore) remove(ctx context.Context, keys []string) (string, error) {
	content, err := json.Marshal(server.StoreRemoval{Keys: keys})
	if err != nil {
		return "", err
	}
	body, err := r.stream(ctx, http.MethodPost, "/store/remove", bytes.NewReader(content))
	if err != nil {
		return "", r.failed("/store/remove", err)
	}
	return fmt.Sprintf("purged %d: nobody is given what was there", len(keys)), body.Close()
}
