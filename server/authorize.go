package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// A token is what an operator proves himself with, as a hash: comparing that
// tells nothing of the token's length either.
type token [sha256.Size]byte

// minToken is how short a token may be, in bytes.
const minToken = 16

// readToken reads a token from a file, or says what to do about it.
func readToken(path string) (t *token, remedy string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Sprintf("%v: give the path of a file that this user may read", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < minToken {
		return nil, fmt.Sprintf("the token in it has %d characters: write %d or more, as openssl rand -hex 32 does", len(secret), minToken)
	}
	t = new(token)
	*t = sha256.Sum256([]byte(secret))
	return t, ""
}

// has reports whether a request carries the token.
func (t *token) has(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hash := sha256.Sum256([]byte(strings.TrimSpace(given)))
	return subtle.ConstantTimeCompare(hash[:], t[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// A refusal is why a request may not act.
type refusal struct {
	status int
	reason string
}

// mayAct says whether a request may change something or profile, and why not.
// A token, where there is one, is asked of everybody. Without it the
// certificate that the connection was made with is enough, or that only this
// machine can reach the listener, as far as no web page can be behind it: a
// browser sends Origin with each method that is neither GET nor HEAD.
func (s *Server) mayAct(r *http.Request) *refusal {
	config, token := s.config.Load(), s.token.Load()
	switch {
	case token != nil && token.has(r):
		return nil
	case token != nil:
		return &refusal{http.StatusUnauthorized, "send the token of admin.token-file, as Authorization: Bearer"}
	case config.AdminClientCA != "": // the TLS handshake has asked for it
		return nil
	case !config.Admin.loopback():
		return &refusal{http.StatusForbidden, "others can reach this address: set admin.token-file or admin.client-ca, or use a loopback address"}
	case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
		return &refusal{http.StatusForbidden, "this comes from a browser: set admin.token-file, or use another client"}
	}
	return nil
}

// authorized lets those on who may act.
func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if no := s.mayAct(r); no != nil {
			no.answer(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (no *refusal) answer(w http.ResponseWriter) {
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="corral"`)
	}
	refuse(w, no.status, errors.New(no.reason))
}

// ownHost refuses, under a loopback address, requests for another host than
// this machine by its loopback names. A web page can give its own host name the
// address 127.0.0.1 and read what answers there (DNS rebinding); the Host field
// gives it away. A PURGE names the host of what it is about instead.
func (s *Server) ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == methodPurge {
			s.purgeAddress(w, r)
			return
		}
		if s.config.Load().Admin.loopback() && !isLoopbackHost(r.Host) {
			http.Error(w, "use localhost or 127.0.0.1 as the host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(host string) bool {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":80"
	}
	return Address(host).loopback()
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(what) // a client that has left cannot be told
}

// refuse writes each line of an error.
func refuse(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]any{"error": lines(err)})
}

func lines(err error) []string { return strings.Split(err.Error(), "\n") }
