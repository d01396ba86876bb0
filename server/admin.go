package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the admin listener. It serves an operator and a few scrapers.
const (
	adminHeaderTimeout  = 5 * time.Second
	adminReadTimeout    = 10 * time.Second // of a purge's content
	adminIdleTimeout    = 2 * time.Minute
	adminMaxHeaderBytes = 16 << 10
	adminMaxScrapes     = 4        // at once; more get 503
	adminMaxContent     = 64 << 10 // bytes
)

func (s *Server) adminServer(config *Config) *http.Server {
	reading := http.NewServeMux()
	reading.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: adminMaxScrapes}))
	reading.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	reading.HandleFunc("GET /readyz", s.readyz)

	acting := http.NewServeMux()
	acting.HandleFunc("POST /purge", s.purge)
	acting.HandleFunc("POST /reload", s.reloadNow)
	acting.HandleFunc("GET /cluster/status", s.ofCluster(s.clusterStatus))
	acting.HandleFunc("GET /cluster/table", s.ofCluster(s.clusterTable))
	acting.HandleFunc("GET /cluster/members", s.ofCluster(s.clusterMembers))
	acting.HandleFunc("GET /cluster/partitions", s.ofCluster(s.clusterKey))
	acting.HandleFunc("POST /cluster/drain", s.ofCluster(s.clusterDrain))
	acting.HandleFunc("GET /store/stat", s.ofStore(s.storeStat))
	acting.HandleFunc("GET /store/entries", s.ofStore(s.storeEntries))
	acting.HandleFunc("GET /store/entry", s.ofStore(s.storeEntry))
	acting.HandleFunc("POST /store/remove", s.ofStore(s.storeRemove))
	acting.HandleFunc("POST /store/verify", s.ofStore(s.storeVerify))
	acting.HandleFunc("GET /debug/pprof/", pprof.Index)
	acting.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	acting.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	acting.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	acting.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, path := range []string{"/purge", "/reload", "/cluster/", "/store/", "/debug/"} {
		reading.Handle(path, s.authorized(acting))
	}

	server := &http.Server{
		Handler:           s.ownHost(reading),
		ReadHeaderTimeout: adminHeaderTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminMaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	if s.adminShown != nil {
		server.TLSConfig = s.adminShown.tlsConfig(tls.VersionTLS12)
	}
	if config.AdminClientCA != "" {
		server.TLSConfig.ClientCAs, _ = readAuthorities(config.AdminClientCA) // Validate has said what is wrong with it
		server.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return server
}

// readyz says whether requests should be sent here. It does not ask the
// origin: one that is down takes every cache before it out of service at once,
// with all that they could still answer. A node without a lease may answer
// nothing.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	current := state(s.state.Load())
	switch {
	case current != ready:
		w.WriteHeader(http.StatusServiceUnavailable)
	case !s.mayAnswer():
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "no lease: this node of the cluster does not reach etcd, or not in time")
		return
	}
	fmt.Fprintln(w, current)
	for _, without := range s.without(r.Context()) {
		fmt.Fprintln(w, without)
	}
}

// readyWithin is how long a store may take to say how it is before /readyz goes
// on without its word.
const readyWithin = 200 * time.Millisecond

// without names what this process does without at the moment, which is no reason
// to send requests elsewhere: there it would be the same, or a restart.
func (s *Server) without(ctx context.Context) (lines []string) {
	if s.lock != nil && !s.lock.Stats().Up {
		lines = append(lines, "coordinator: its Redis does not answer; "+string(s.config.Load().RedisOutage)+" until it does")
	}
	if s.store == nil {
		return lines
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	switch stat, err := s.store.Stat(ctx); {
	case err != nil:
		lines = append(lines, "store: done without: "+err.Error())
	case stat.Broken != "":
		lines = append(lines, "store: done without: "+stat.Broken)
	}
	return lines
}

// reloadNow answers POST /reload.
func (s *Server) reloadNow(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"reloaded": true})
}
