package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrCutOff is returned by Run when requests did not finish in the time that
// they had and were cut off.
var ErrCutOff = errors.New("server: requests were cut off")

// A Handler answers the clients' requests. Shutdown is called once, when no
// further request comes; it returns when all that the handler runs has ended,
// or with an error when ctx ends first, after having cut the rest off.
type Handler interface {
	http.Handler
	Shutdown(ctx context.Context) error
}

// Options are what a Server is given beside its settings.
type Options struct {
	Handler    Handler                // required
	Logger     *slog.Logger           // default: none
	AccessLog  io.Writer              // used while Config.AccessLog is on; default: none
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
	config   Config
	log      *slog.Logger
	handler  Handler
	state    atomic.Int32
	access   *accessLog // nil: off
	metrics  *metrics
	front    *http.Server
	admin    *http.Server
	frontOn  *limitedListener
	adminOn  *net.TCPListener
	serving  sync.WaitGroup // the two accept loops
	inFlight atomic.Int64   // requests
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
	s := &Server{config: config, log: log, handler: options.Handler, metrics: newMetrics(options)}
	front, problem1 := listen("listen", config.Listen)
	admin, problem2 := listen("admin.listen", config.Admin)
	if problem1 != nil || problem2 != nil {
		for _, l := range []*net.TCPListener{front, admin} {
			if l != nil {
				l.Close()
			}
		}
		return nil, join([]*Problem{problem1, problem2})
	}
	s.frontOn, s.adminOn = limitConns(front, config.MaxConns), admin
	if config.AccessLog == On && options.AccessLog != nil {
		s.access = newAccessLog(options.AccessLog, config.Log, config.AccessLogBuffer)
	}
	s.metrics.observe(s)
	s.front = s.frontServer()
	s.admin = s.adminServer()
	return s, nil
}

func join(problems []*Problem) error {
	var errs []error
	for _, p := range problems {
		if p != nil {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// URL is where clients connect.
func (s *Server) URL() string { return urlOf(s.frontOn.Addr()) }

// AdminURL is where the operator connects.
func (s *Server) AdminURL() string { return urlOf(s.adminOn.Addr()) }

// urlOf names a listener in a way that can be pasted: all addresses of a
// machine are best reached from it as localhost.
func urlOf(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + tcp.String()
}

func (s *Server) frontServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.observe(s.handler),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: s.config.MaxStreams},
		ReadHeaderTimeout: s.config.HeaderTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		MaxHeaderBytes:    int(s.config.MaxHeaderBytes),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// Run serves until stop ends, a listener fails, or abort ends, which cuts off
// what runs. It returns nil after an orderly stop in which every request
// finished, ErrCutOff after one in which some did not, and otherwise what
// failed. It is called once.
func (s *Server) Run(stop, abort context.Context) error {
	failed := make(chan error, 2)
	s.accept(s.admin, s.adminOn, "admin.listen", failed)
	s.accept(s.front, s.frontOn, "listen", failed)
	s.state.Store(int32(ready))
	s.log.Info("ready", "url", s.URL(), "admin", s.AdminURL(), "origin", s.config.Origin.String())

	var failure error
	select {
	case failure = <-failed:
		s.log.Error("listener failed", "error", failure)
	case <-stop.Done():
	case <-abort.Done():
	}
	return errors.Join(failure, s.drain(abort))
}

func (s *Server) accept(server *http.Server, on net.Listener, setting string, failed chan<- error) {
	s.serving.Go(func() {
		if err := server.Serve(on); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("server: %s %s: %w", setting, on.Addr(), err)
		}
	})
}

// logFlushTimeout is how long the access log may take to write its last lines.
const logFlushTimeout = time.Second

// drain stops everything in order.
func (s *Server) drain(abort context.Context) error {
	s.state.Store(int32(draining))
	s.log.Info("stopping", "requests", s.inFlight.Load(), "delay", s.config.ShutdownDelay.String(), "timeout", s.config.ShutdownTimeout.String())
	select {
	case <-time.After(s.config.ShutdownDelay):
	case <-abort.Done():
	}
	limit, cancel := context.WithTimeout(abort, s.config.ShutdownTimeout)
	defer cancel()
	var err error
	if s.front.Shutdown(limit) != nil {
		if running := s.inFlight.Load(); running > 0 { // the others are idle connections
			err = fmt.Errorf("%w: %d of them", ErrCutOff, running)
		}
		s.front.Close()
	}
	s.frontOn.Close() // Shutdown does not know of it when stopped before Serve had begun
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
