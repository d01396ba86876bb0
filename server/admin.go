package server

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the admin listener. It serves an operator and a few scrapers.
const (
	adminHeaderTimeout  = 5 * time.Second
	adminIdleTimeout    = 2 * time.Minute
	adminMaxHeaderBytes = 16 << 10
	adminMaxScrapes     = 4 // at once; more get 503
)

func (s *Server) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: adminMaxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	var handler http.Handler = mux
	if s.config.Admin.loopback() {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		handler = loopbackHost(mux)
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: adminHeaderTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminMaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// readyz says whether requests should be sent here. It does not ask the
// origin: one that is down takes every cache before it out of service at once,
// with all that they could still answer.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	current := state(s.state.Load())
	if current != ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, current)
}

// loopbackHost refuses requests for another host than this machine by its
// loopback names. A web page can give its own host name the address 127.0.0.1
// and read what answers there (DNS rebinding); the Host field gives it away.
func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil {
			host += ":80"
		}
		if !Address(host).loopback() {
			http.Error(w, "use localhost or 127.0.0.1 as the host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
