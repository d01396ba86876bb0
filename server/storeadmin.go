package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral/httpcache"
)

const (
	lookWithin    = 5 * time.Second  // in which a store has to say what it is, or give an entry
	listWithin    = 30 * time.Minute // a list, or a look at everything
	adminMaxWalks = 2                // of them at once; more get 503
)

// ofStore is for what only a server with a store can answer.
func (s *Server) ofStore(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.lock != nil {
			config := s.config.Load()
			refuse(w, http.StatusNotFound, fmt.Errorf("this process has no store: with the coordinator redis answers are in its Redis, under %sk: and the key; look there, as redis-cli --scan --pattern '%sk:*'", config.Redis.Prefix, config.Redis.Prefix))
			return
		}
		if s.store == nil {
			refuse(w, http.StatusNotFound, errors.New("this process has no store: set store.dir or store.redis.url"))
			return
		}
		next(w, r)
	}
}

// storeStat answers GET /store/stat.
func (s *Server) storeStat(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookWithin)
	defer cancel()
	stat, err := s.store.Stat(ctx)
	if err != nil {
		refuse(w, http.StatusBadGateway, fmt.Errorf("the store does not say what it has: %w", err))
		return
	}
	status := NewStoreStatus(stat)
	if site, ok := s.handler.(inspected); ok {
		status.Pending = site.Cache().Stats().StorePending
	}
	answer(w, http.StatusOK, status)
}

// An inspected handler lets its cache be looked into. A Site does.
type inspected interface{ Cache() httpcache.Inspector }

// storeEntries answers GET /store/entries?prefix=…&limit=…, a line of JSON for each.
func (s *Server) storeEntries(w http.ResponseWriter, r *http.Request) {
	limit := int64(0)
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.ParseInt(text, 10, 64); err != nil || limit < 0 {
			refuse(w, http.StatusBadRequest, fmt.Errorf("limit is %q: write a number, or 0 for all", text))
			return
		}
	}
	s.walk(w, r, func(ctx context.Context, yield func(StoreLine) error) error {
		return ListStore(ctx, s.store, r.URL.Query().Get("prefix"), limit, yield)
	})
}

// storeVerify answers POST /store/verify, a line of JSON for each that is broken.
func (s *Server) storeVerify(w http.ResponseWriter, r *http.Request) {
	s.walk(w, r, func(ctx context.Context, yield func(StoreLine) error) error {
		return VerifyStore(ctx, s.store, yield)
	})
}

// walk answers with lines while somebody reads them.
func (s *Server) walk(w http.ResponseWriter, r *http.Request, lines func(ctx context.Context, yield func(StoreLine) error) error) {
	select {
	case s.walks <- struct{}{}:
		defer func() { <-s.walks }()
	default:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%d others look through the store already: try again", adminMaxWalks))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), listWithin)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if lines(ctx, func(line StoreLine) error { return encoder.Encode(line) }) != nil {
		panic(http.ErrAbortHandler) // whoever read has left
	}
}

// storeEntry answers GET /store/entry?key=…: a line of JSON, then the content.
func (s *Server) storeEntry(w http.ResponseWriter, r *http.Request) {
	key, err := s.keyOf(r.URL.Query().Get("key"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), listWithin)
	defer cancel()
	value, content, err := ReadStore(ctx, s.store, key)
	switch {
	case err != nil:
		refuse(w, http.StatusBadGateway, fmt.Errorf("the store does not give %q: %w", key, err))
		return
	case value == nil:
		refuse(w, http.StatusNotFound, fmt.Errorf("the store has nothing under %q", key))
		return
	}
	defer content.Close()
	answer(w, http.StatusOK, value)
	if _, err := io.Copy(w, content); err != nil {
		panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
	}
}

// keyOf is the key that is meant by an address, or by a key as it is.
func (s *Server) keyOf(asked string) (string, error) {
	site, ok := s.handler.(keyer)
	switch {
	case asked == "":
		return "", errors.New("name a key: ?key=, with an address, or with a key as the cache has it")
	case ok && IsAddress(asked):
		return site.Key(asked)
	}
	return asked, nil
}

// IsAddress tells an address from a key, which begins with a method and a blank.
func IsAddress(asked string) bool {
	return strings.Contains(asked, "://") && !strings.Contains(asked, " ")
}

// A StoreRemoval is the content of POST /store/remove, and what answers it.
type StoreRemoval struct {
	Keys []string `json:"keys"`
}

// storeRemove answers POST /store/remove: what is under keys goes, here, in the
// store and in every other process. An address stands for all that a purge of it
// would end.
func (s *Server) storeRemove(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(adminReadTimeout))
	var what StoreRemoval
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, adminMaxContent))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&what); err != nil || len(what.Keys) == 0 {
		refuse(w, http.StatusBadRequest, errors.New(`write JSON as {"keys": ["GET https://www.example.com/news"]}, of no more than 64 KiB`))
		return
	}
	site, ok := s.handler.(inspected)
	if !ok {
		refuse(w, http.StatusNotFound, errors.New("this process has no cache"))
		return
	}
	var keys []string
	for _, key := range what.Keys {
		if !IsAddress(key) {
			keys = append(keys, key)
			continue
		}
		if err := s.handler.Purge(r.Context(), httpcache.Purge{URL: key}); err != nil {
			s.purgeFailed(w, what, err)
			return
		}
	}
	if len(keys) > 0 {
		if err := site.Cache().Invalidate(r.Context(), keys...); err != nil {
			s.purgeFailed(w, what, err)
			return
		}
	}
	s.log.Info("purged", "what", what)
	answer(w, http.StatusOK, what)
}
