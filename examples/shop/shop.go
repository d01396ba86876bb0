package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// shop answers requests. Its fields are set before handler is called.
type shop struct {
	db           *sql.DB
	slots        chan struct{} // one for each query that may run
	queueTimeout time.Duration
	lineEvery    time.Duration // pause between the lines of /slow-stream
	log          *slog.Logger
	calls        callLog
}

var errBusy = errors.New("too many queries wait for the database")

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	logged := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.logCalls(h)) }
	logged("GET /products/{id}", s.product)
	logged("PUT /products/{id}/price", s.reprice)
	logged("GET /products/{id}/reviews", s.reviews)
	logged("GET /cart", s.cart)
	logged("POST /login", s.login)
	logged("GET /slow-stream", s.slowStream)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /debug/calls", s.debugCalls)
	return mux
}

// logCalls enters a request into the call log and the text log.
func (s *shop) logCalls(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		number, end := s.calls.begin(r.URL.Path)
		defer func() {
			end()
			s.log.Info("call", "number", number, "method", r.Method, "path", r.URL.Path, "took", time.Since(start))
		}()
		w.Header().Set("X-Shop-Call", strconv.Itoa(number))
		next.ServeHTTP(w, r)
	})
}

// maxSlow bounds how long a request can have its query take.
const maxSlow = 10 * time.Second

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	slow, _ := time.ParseDuration(r.URL.Query().Get("slow"))
	s.answer(w, r, "public, max-age=60", func(ctx context.Context, id int) (any, error) {
		select {
		case <-time.After(min(slow, maxSlow)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return findProduct(ctx, s.db, id)
	})
}

// maxPrice bounds a price, in cents.
const maxPrice = 1_000_000_000

// reprice gives a product another price.
func (s *shop) reprice(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 20))
	cents, notNumber := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || notNumber != nil || cents < 0 || cents > maxPrice {
		http.Error(w, "send the price in cents, as 499", http.StatusBadRequest)
		return
	}
	switch found, err := setPrice(r.Context(), s.db, r.PathValue("id"), cents); {
	case err != nil:
		s.log.Error("price", "path", r.URL.Path, "error", err)
		http.Error(w, "the database failed", http.StatusInternalServerError)
	case !found:
		http.Error(w, "no such product", http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *shop) reviews(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, "public, max-age=10", func(ctx context.Context, id int) (any, error) {
		return findReviews(ctx, s.db, id)
	})
}

// answer runs a query for the product in the path and writes its result as
// JSON with an ETag, or 304 when the client has it already.
func (s *shop) answer(w http.ResponseWriter, r *http.Request, cacheControl string, query func(context.Context, int) (any, error)) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		err = sql.ErrNoRows
	}
	var result any
	if err == nil {
		result, err = s.limited(r.Context(), func(ctx context.Context) (any, error) { return query(ctx, id) })
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		w.Header().Set("Cache-Control", "public, max-age=5")
		http.Error(w, "no such product", http.StatusNotFound)
		return
	case errors.Is(err, errBusy):
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case r.Context().Err() != nil:
		return // the client has gone
	case err != nil:
		s.log.Error("query", "path", r.URL.Path, "error", err)
		http.Error(w, "the database failed", http.StatusInternalServerError)
		return
	}
	body, err := json.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Cache-Control", cacheControl)
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, append(body, '\n'))
}

// limited runs a query when one of the slots is free.
func (s *shop) limited(ctx context.Context, query func(context.Context) (any, error)) (any, error) {
	timeout := time.NewTimer(s.queueTimeout)
	defer timeout.Stop()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		return query(ctx)
	case <-timeout.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// sessionCookie gives a visitor without a session a new one.
func sessionCookie(w http.ResponseWriter, r *http.Request) (session string) {
	if cookie, err := r.Cookie("session"); err == nil {
		return cookie.Value
	}
	session = rand.Text()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return session
}

func (s *shop) cart(w http.ResponseWriter, r *http.Request) {
	session := sessionCookie(w, r)
	w.Header().Set("Cache-Control", "private")
	body, err := json.Marshal(map[string]any{"session": session, "items": []int{}})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, append(body, '\n'))
}

func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	sessionCookie(w, r)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// slowStreamLines is the length of /slow-stream.
const slowStreamLines = 10

func (s *shop) slowStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=5")
	response := http.NewResponseController(w)
	pause := time.NewTicker(s.lineEvery)
	defer pause.Stop()
	for line := 1; line <= slowStreamLines; line++ {
		fmt.Fprintf(w, "line %d of %d\n", line, slowStreamLines)
		if err := response.Flush(); err != nil {
			return
		}
		select {
		case <-pause.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *shop) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := s.db.PingContext(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// debugCalls writes the call log, of one path with ?path=.
func (s *shop) debugCalls(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.MarshalIndent(s.calls.snapshot(r.FormValue("path")), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, append(body, '\n'))
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}
