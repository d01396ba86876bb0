package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	DefaultHeartbeat = 50 * time.Millisecond
	DefaultElection  = 500 * time.Millisecond

	// Retention is how far back etcd's history reaches, and with it the log of
	// invalidations; compaction keeps up to twice as much.
	Retention = 10 * time.Minute

	// DefaultQuota is etcd's own. Renewals of ten nodes fill 10 MiB in Retention.
	DefaultQuota = 2 << 30

	// startWithin bounds how long etcd may take to open its files and ports. Its
	// election, which may wait for the other members, comes after.
	startWithin = 30 * time.Second
)

// A Server is a member of etcd in this process.
type Server struct {
	config  Embedded
	etcd    *embed.Etcd
	clients atomic.Pointer[grpc.Server] // once it serves
	socket  string                      // the directory of one, if it speaks TLS

	fatal    chan string
	stopping chan struct{}
	stop     sync.Once
	stopped  chan struct{}
	err      error // written before stopped closes
}

// Start opens the files and ports of a member and returns while it looks for
// the others: Ready tells when it serves. A member whose files are there goes on
// from them, whatever Embedded.New and Embedded.Members say.
func Start(ctx context.Context, config Embedded) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := config.claim(); err != nil {
		return nil, fmt.Errorf("etcd: start %q: %w", config.Name, err)
	}
	s := &Server{config: config, fatal: make(chan string, 1), stopping: make(chan struct{}), stopped: make(chan struct{})}
	if err := s.launch(ctx); err != nil {
		s.unsecure()
		return nil, fmt.Errorf("etcd: start %q: %w", config.Name, config.explain(err))
	}
	go s.watch()
	return s, nil
}

// launch runs etcd's start in a goroutine of its own, which onFatal may end.
func (s *Server) launch(ctx context.Context) error {
	etcd, err := s.config.etcd(s)
	if err != nil {
		return err
	}
	if err := s.config.reachInScheme(); err != nil {
		return err
	}
	type outcome struct {
		etcd *embed.Etcd
		err  error
	}
	started := make(chan outcome, 1)
	go func() {
		e, err := embed.StartEtcd(etcd)
		started <- outcome{e, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	select {
	case o := <-started:
		s.etcd = o.etcd
		return o.err
	case message := <-s.fatal:
		return errors.New(message)
	case <-ctx.Done():
		go func() { // it ends by itself, sooner or later
			if o := <-started; o.err == nil {
				o.etcd.Close()
			}
		}()
		return ctx.Err()
	}
}

// Ready is closed once the member has found a leader and serves.
func (s *Server) Ready() <-chan struct{} { return s.etcd.Server.ReadyNotify() }

// Stopped is closed when the member has ended, by Stop or by itself: Err says
// why.
func (s *Server) Stopped() <-chan struct{} { return s.stopped }

// Err is why the member ended by itself; nil while it runs and after Stop.
func (s *Server) Err() error {
	select {
	case <-s.stopped:
		return s.err
	default:
		return nil
	}
}

// Client is the address for clients, host:port.
func (s *Server) Client() string { return s.config.Client }

// Peer is the address for other members, host:port.
func (s *Server) Peer() string { return s.config.Peer }

// Stop hands leadership to another member, ends this one and waits until its
// ports and files are free.
func (s *Server) Stop() {
	s.stop.Do(func() { close(s.stopping) })
	<-s.stopped
}

// watch owns the member until its end.
func (s *Server) watch() {
	select {
	case <-s.stopping:
	case message := <-s.fatal:
		s.err = fmt.Errorf("etcd: member %q: %s", s.config.Name, message)
	case err := <-s.etcd.Err():
		s.err = fmt.Errorf("etcd: member %q: %w", s.config.Name, err)
	case <-s.etcd.Server.StopNotify():
		s.err = fmt.Errorf("etcd: member %q was removed from its cluster, or could not go on: see the log", s.config.Name)
	}
	if s.err != nil {
		s.config.Log.Error("etcd has ended in this process", "member", s.config.Name, "cause", s.err)
	}
	// Else Close mostly waits seconds for streams that never end: everybody's watch.
	if clients := s.clients.Load(); clients != nil {
		clients.Stop()
	}
	s.etcd.Close()
	s.unsecure()
	close(s.stopped)
}

// etcd is the configuration in etcd's terms.
func (c Embedded) etcd(s *Server) (*embed.Config, error) {
	peer, client, err := c.urls()
	if err != nil {
		return nil, err
	}
	e := embed.NewConfig()
	e.Name = c.Name
	e.Dir = c.data()
	e.AdvertisePeerUrls, e.ListenPeerUrls = peer.advertised, peer.bound
	e.AdvertiseClientUrls, e.ListenClientUrls = client.advertised, client.bound
	e.InitialCluster = c.initialCluster()
	e.InitialClusterToken = c.Token
	e.ClusterState = embed.ClusterStateFlagExisting
	if c.New {
		e.ClusterState = embed.ClusterStateFlagNew
	}
	e.TickMs = uint(c.Heartbeat.Milliseconds())
	e.ElectionMs = uint(c.Election.Milliseconds())
	e.AutoCompactionMode = embed.CompactorModePeriodic
	e.AutoCompactionRetention = Retention.String()
	e.QuotaBackendBytes = c.Quota
	e.EnableGRPCGateway = false
	e.ServiceRegister = s.clients.Store
	core := &slogCore{log: c.Log.Handler(), least: quiet, refused: c.Refused("etcd's port for its members")}
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(core, zap.WithFatalHook(s.onFatal())))
	e.LogOutputs = []string{os.DevNull} // of what would be built without the line above
	if c.Identity != nil {
		return e, s.secure(e)
	}
	return e, nil
}

// onFatal ends the member where etcd would end the process.
func (s *Server) onFatal() onFatal {
	return func(message string) {
		select {
		case s.fatal <- message:
		default: // one is enough
		}
	}
}
