package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral/httpcache"
)

// ErrCutOff is returned by Run when requests did not finish in the time that
// they had and were cut off.
var ErrCutOff = errors.New("server: requests were cut off")

// A Handler answers the clients' requests. A Site is one.
type Handler interface {
	http.Handler
	// Purge has answers given to nobody any more; its error is
	// httpcache.ErrPurge when the fault is the purge's.
	Purge(ctx context.Context, what httpcache.Purge) error
	// Reload puts another valid Config in force, or says why not and changes
	// nothing.
	Reload(config Config) error
	// Shutdown is called once, when no further request comes; it returns when
	// all that the handler runs has ended, or with an error when ctx ends first,
	// after having cut the rest off.
	Shutdown(ctx context.Context) error
}

// Options are what a Server is given beside its settings.
type Options struct {
	Handler    Handler                // required
	Logger     *slog.Logger           // default: none
	Level      *slog.LevelVar         // set to log.level at a reload; default: none
	Load       func() (Config, error) // gives the settings for a reload; default: a reload is refused
	AccessLog  io.Writer              // used while Config.AccessLog is on; default: none
	Cluster    Member                 // this process's part in a cluster; default: none
	Store      Store                  // where the handler's answers survive; default: nowhere
	Lock       Lock                   // by which a Redis decides who fetches; default: none
	Collectors []prometheus.Collector // shown under /metrics beside the server's own
	Version    string                 // shown under /metrics
}

// A state is a point in the life of a Server. They follow each other in order.
type state int32

const (
	starting state = iota // until the front listener accepts
	ready
	draining // from the first moment of a stop
)

func (s state) String() string { return [...]string{"starting", "ready", "draining"}[s] }

// A Server is one daemon, from open listeners to the end of its last request.
type Server struct {
	config   atomic.Pointer[Config] // in force
	load     func() (Config, error)
	level    *slog.LevelVar
	log      *slog.Logger
	handler  Handler
	cluster  Member        // nil: in none
	store    Store         // nil: none
	lock     Lock          // nil: none
	walks    chan struct{} // one for each look through the store
	state    atomic.Int32
	access   *accessLog // nil: off
	metrics  *metrics
	inFlight atomic.Int64 // requests
	ended    atomic.Int64 // requests

	front   *http.Server
	frontOn *limitedListener // nil: off
	tlsOn   *limitedListener // nil: off
	conns   *connections     // of clients
	shown   *certificates    // by tlsOn

	admin      *http.Server
	adminOn    *net.TCPListener
	adminShown *certificates // nil: the admin listener speaks no TLS
	token      atomic.Pointer[token]

	reloading sync.Mutex     // one Reload at a time
	serving   sync.WaitGroup // the accept loops and the watches of certificates
}

// New opens the listeners of a valid Config. Its error joins one *Problem for
// each thing that is wrong. The caller calls Run next, which closes them.
func New(config Config, options Options) (*Server, error) {
	if problems := config.Validate(); len(problems) > 0 {
		return nil, join(problems)
	}
	log := options.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		load: options.Load, level: options.Level, log: log, handler: options.Handler, cluster: options.Cluster,
		store: options.Store, lock: options.Lock, walks: make(chan struct{}, adminMaxWalks),
		metrics: newMetrics(options), conns: newConnections(config.MaxConns),
	}
	s.config.Store(&config)
	if err := s.read(&config); err != nil {
		return nil, err
	}
	if err := s.open(&config); err != nil {
		return nil, err
	}
	if config.AccessLog == On && options.AccessLog != nil {
		s.access = newAccessLog(options.AccessLog, config.Log, config.AccessLogBuffer)
	}
	s.metrics.observe(s)
	s.front = s.frontServer(&config)
	s.admin = s.adminServer(&config)
	return s, nil
}

// open opens the listeners that are on, or none.
func (s *Server) open(config *Config) error {
	var problems []*Problem
	var opened []net.Listener
	on := func(setting string, address Address) *net.TCPListener {
		if address.off() {
			return nil
		}
		l, remedy := listen(address)
		if remedy != "" {
			problems = append(problems, config.problem(setting, string(address), remedy))
			return nil
		}
		opened = append(opened, l)
		return l
	}
	front, secure, admin := on("listen", config.Listen), on("tls.listen", config.TLSListen), on("admin.listen", config.Admin)
	if len(problems) > 0 {
		for _, l := range opened {
			l.Close()
		}
		return join(problems)
	}
	if front != nil {
		s.frontOn = s.conns.limit(front)
	}
	if secure != nil {
		s.tlsOn = s.conns.limit(secure)
	}
	s.adminOn = admin
	return nil
}

// URL is where clients connect, without TLS where they can.
func (s *Server) URL() string {
	if s.frontOn == nil {
		return s.TLSURL()
	}
	return urlOf("http", s.frontOn.Addr())
}

// TLSURL is where clients connect by TLS; empty when tls.listen is off.
func (s *Server) TLSURL() string {
	if s.tlsOn == nil {
		return ""
	}
	return urlOf("https", s.tlsOn.Addr())
}

// AdminURL is where the operator connects.
func (s *Server) AdminURL() string {
	if s.adminShown != nil {
		return urlOf("https", s.adminOn.Addr())
	}
	return urlOf("http", s.adminOn.Addr())
}

// urlOf names a listener in a way that can be pasted: all addresses of a
// machine are best reached from it as localhost.
func urlOf(scheme string, addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("%s://localhost:%d", scheme, tcp.Port)
	}
	return scheme + "://" + tcp.String()
}

func (s *Server) frontServer(config *Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.observe(s.handler),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: config.MaxStreams},
		ReadHeaderTimeout: config.HeaderTimeout,
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    int(config.MaxHeaderBytes),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	if s.tlsOn != nil {
		server.TLSConfig = s.shown.tlsConfig(config.TLSMin)
	}
	return server
}

// Run serves until stop ends, a listener fails, or abort ends, which cuts off
// what runs. It returns nil after an orderly stop in which every request
// finished, ErrCutOff after one in which some did not, and otherwise what
// failed. It is called once.
func (s *Server) Run(stop, abort context.Context) error {
	failed := make(chan error, 3)
	if s.adminShown != nil {
		s.acceptTLS(s.admin, s.adminOn, "admin.listen", failed)
	} else {
		s.accept(s.admin, s.adminOn, "admin.listen", failed)
	}
	if s.frontOn != nil {
		s.accept(s.front, s.greet(s.frontOn), "listen", failed)
	}
	if s.tlsOn != nil {
		s.acceptTLS(s.front, s.greet(s.tlsOn), "tls.listen", failed)
	}
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	s.watch(watching)
	s.serving.Go(func() { s.settle(watching, debug.FreeOSMemory) })
	s.state.Store(int32(ready))
	s.log.Info("ready", "url", s.URL(), "tls", s.TLSURL(), "admin", s.AdminURL(), "origin", s.config.Load().Origin.String())

	var failure error
	select {
	case failure = <-failed:
		s.log.Error("listener failed", "error", failure)
	case <-stop.Done():
	case <-abort.Done():
	}
	stopWatching()
	return errors.Join(failure, s.drain(abort))
}

// watch looks for new certificates until ctx ends.
func (s *Server) watch(ctx context.Context) {
	for _, shown := range []*certificates{s.shown, s.adminShown} {
		if shown != nil {
			s.serving.Go(func() { shown.watch(ctx, s.config.Load().TLSRefresh) })
		}
	}
}

func (s *Server) accept(server *http.Server, on net.Listener, setting string, failed chan<- error) {
	s.serving.Go(func() { tellFailure(server.Serve(on), on, setting, failed) })
}

func (s *Server) acceptTLS(server *http.Server, on net.Listener, setting string, failed chan<- error) {
	s.serving.Go(func() { tellFailure(server.ServeTLS(on, "", ""), on, setting, failed) })
}

func tellFailure(err error, on net.Listener, setting string, failed chan<- error) {
	if !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("server: %s %s: %w", setting, on.Addr(), err)
	}
}

// logFlushTimeout is how long the access log may take to write its last lines.
const logFlushTimeout = time.Second

// drain stops everything in order.
func (s *Server) drain(abort context.Context) error {
	s.state.Store(int32(draining))
	config := s.config.Load()
	s.log.Info("stopping", "requests", s.inFlight.Load(), "delay", config.ShutdownDelay.String(), "timeout", config.ShutdownTimeout.String())
	select {
	case <-time.After(config.ShutdownDelay):
	case <-abort.Done():
	}
	limit, cancel := context.WithTimeout(abort, config.ShutdownTimeout)
	defer cancel()
	var err error
	if s.front.Shutdown(limit) != nil {
		if running := s.inFlight.Load(); running > 0 { // the others are idle connections
			err = fmt.Errorf("%w: %d of them", ErrCutOff, running)
		}
		s.front.Close()
	}
	for _, l := range []*limitedListener{s.frontOn, s.tlsOn} {
		if l != nil {
			l.Close() // Shutdown does not know of it when stopped before Serve had begun
		}
	}
	if cause := s.handler.Shutdown(limit); cause != nil {
		err = errors.Join(err, fmt.Errorf("server: stop handler: %w", cause))
	}
	if s.access != nil {
		s.access.close(logFlushTimeout)
	}
	s.admin.Close()
	s.serving.Wait()
	if err != nil {
		s.log.Warn("stopped", "error", err)
	} else {
		s.log.Info("stopped")
	}
	return err
}
