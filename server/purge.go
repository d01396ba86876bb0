package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/httpcache"
)

// methodPurge is what caches have agreed upon without a standard.
const methodPurge = "PURGE"

// A purgeRequest is the content of POST /purge: an httpcache.Purge.
type purgeRequest struct {
	URL    string   `json:"url,omitempty"`
	Prefix string   `json:"prefix,omitempty"`
	Tags   []string `json:"tags,omitempty"`
	All    bool     `json:"all,omitempty"`
	Soft   bool     `json:"soft,omitempty"`
}

// purge answers POST /purge.
func (s *Server) purge(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(adminReadTimeout))
	what, err := readPurge(http.MaxBytesReader(w, r.Body, adminMaxContent))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("purge less at once: the content is longer than %s", Bytes(adminMaxContent)))
	case err != nil:
		refuse(w, http.StatusBadRequest, fmt.Errorf(`%w: write JSON as {"url": "https://www.example.com/news"}, {"prefix": …}, {"tags": […]} or {"all": true}, and "soft": true if stale answers may stay`, err))
	default:
		s.purgeAll(w, r, what, what)
	}
}

func readPurge(content io.Reader) (what purgeRequest, err error) {
	decoder := json.NewDecoder(content)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&what); err != nil {
		return what, err
	}
	if _, err := decoder.Token(); err == nil {
		return what, errors.New("something follows the JSON object")
	} else if !errors.Is(err, io.EOF) {
		return what, err
	}
	return what, nil
}

// purgeAddress answers PURGE, which names an address as a request for it would:
// whole, as a client sends it through a proxy, or as a path with Host. The
// latter could be meant for another server that a name was led away from, and
// needs a token or a certificate. What the address stands for is purged under
// both schemes, for such a request tells its own only.
func (s *Server) purgeAddress(w http.ResponseWriter, r *http.Request) {
	if no := s.mayAct(r); no != nil {
		no.answer(w)
		return
	}
	target := r.RequestURI
	if whole := r.URL.Host != ""; whole {
		target = r.URL.RequestURI()
	} else if s.token.Load() == nil && s.config.Load().AdminClientCA == "" {
		refuse(w, http.StatusForbidden, errors.New("write the whole address in the request line, as curl -x does with this listener, or set admin.token-file"))
		return
	}
	soft := r.Header.Get("Soft-Purge") == "1" || r.Header.Get("Fastly-Soft-Purge") == "1"
	shown := purgeRequest{URL: "http://" + r.Host + target, Soft: soft}
	s.purgeAll(w, r, shown, shown, purgeRequest{URL: "https://" + r.Host + target, Soft: soft})
}

// purgeAll purges all of it and answers with what was purged.
func (s *Server) purgeAll(w http.ResponseWriter, r *http.Request, shown purgeRequest, all ...purgeRequest) {
	for _, what := range all {
		if err := s.handler.Purge(r.Context(), httpcache.Purge(what)); err != nil {
			s.purgeFailed(w, shown, err)
			return
		}
	}
	s.log.Info("purged", "what", shown)
	answer(w, http.StatusOK, map[string]any{"purged": shown})
}

// Codes by which programs tell why a purge was not acknowledged.
const (
	codeNotAcknowledged = "not-acknowledged"
	codeStorePending    = "store-pending"
)

// elsewhere says what holds beyond this process while a purge is pending.
func (s *Server) elsewhere() string {
	if s.lock != nil {
		return "; other processes hear of it when the coordinator's Redis has been told, and those that reach it may give it until then"
	}
	return ", nor does a node of its cluster; the store may still have it, and is not read before it has been told"
}

// purgeFailed answers and logs what a purge came to.
func (s *Server) purgeFailed(w http.ResponseWriter, what any, err error) {
	pending := func(code string, err error) {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, map[string]any{"error": lines(err), "acknowledged": false, "code": code})
	}
	switch {
	case errors.Is(err, httpcache.ErrPurge):
		refuse(w, http.StatusBadRequest, err)
	case errors.Is(err, corral.ErrStorePending):
		s.log.Error("purged, but for the store", "what", what, "error", err, "effect", "this process gives nothing that it concerns"+s.elsewhere(),
			"remedy", "see why it does not answer (corral store stat, /readyz), and repeat the purge before this process ends: it forgets to tell then")
		pending(codeStorePending, fmt.Errorf("%w: this process gives nothing that it concerns%s: repeat it when that answers", err, s.elsewhere()))
	case errors.Is(err, corral.ErrNotAcknowledged):
		s.log.Error("perhaps not purged", "what", what, "error", err,
			"effect", "processes that share the cache may still give what it concerns, until the purge is repeated",
			"remedy", "see what the error says, mostly that etcd has no leader (corral cluster members), and repeat the purge, which does no harm if it holds already")
		pending(codeNotAcknowledged, fmt.Errorf("%w: some nodes may still give what it concerns: repeat it", err))
	default:
		s.log.Error("not purged", "what", what, "error", err,
			"effect", "what it concerns is still given", "remedy", "see what the error says, and repeat the purge")
		refuse(w, http.StatusInternalServerError, err)
	}
}
