package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corralcache/corral/metrics/prom"
	"github.com/corralcache/corral/metrics/promcluster"
	"github.com/corralcache/corral/metrics/promlock"
	"github.com/corralcache/corral/server"
)

// serve is "corral serve".
type serve struct {
	ConfigFile    string `name:"config" short:"c" placeholder:"FILE" help:"YAML file of settings."`
	server.Config `embed:""`
}

// Run serves until the first SIGTERM or SIGINT and then lets requests finish,
// which a second one cuts short. SIGHUP has the settings read again.
func (c *serve) Run(s *session) error {
	config, err := s.load(c.ConfigFile)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(config.Level.Level())
	log := slog.New(server.NewLogHandler(s.errs, config.Log, level))
	stop, abort, release := stopSignals(s.ctx)
	defer release()
	tiers, err := server.OpenTiers(stop, config, log)
	switch {
	case err != nil && stop.Err() != nil:
		log.Info("stopped before the cluster was joined")
		return nil
	case err != nil:
		return err
	}
	handler, err := server.NewHandler(config, log, tiers)
	if err != nil {
		return errors.Join(err, tiers.Close())
	}
	options := server.Options{
		Handler:    handler,
		Logger:     log,
		Level:      level,
		Load:       func() (server.Config, error) { return s.load(c.ConfigFile) },
		AccessLog:  s.out,
		Collectors: []prometheus.Collector{prom.New(handler.Cache()), handler},
		Version:    version(),
	}
	if node := tiers.Node; node != nil {
		options.Cluster = node
		options.Collectors = append(options.Collectors, promcluster.New(node))
	}
	if store := tiers.Store; store != nil {
		options.Store = store
		options.Collectors = append(options.Collectors, prom.NewStore(config.Name, store))
	}
	if lock := tiers.Lock; lock != nil {
		options.Lock = lock
		options.Collectors = append(options.Collectors, promlock.New(config.Name, lock))
	}
	daemon, err := server.New(config, options)
	if err != nil {
		return errors.Join(err, handler.Shutdown(s.ctx))
	}
	memoryLimit, gogc := server.BoundMemory(config)
	log.Info("memory bounded", "max-bytes", config.MaxBytes.String(), "GOMEMLIMIT", memoryLimit, "GOGC", gogc)
	defer onHangup(func() { daemon.Reload() })() // which logs what comes of it
	return daemon.Run(stop, abort)
}

// onHangup calls reload for SIGHUP, until release is called.
func onHangup(reload func()) (release func()) {
	signals, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				reload()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// stopSignals returns a context that the first signal, or the end of parent,
// ends and one that the second signal ends. release gives the signals back.
func stopSignals(parent context.Context) (stop, abort context.Context, release func()) {
	stop, stopNow := context.WithCancel(parent)
	abort, abortNow := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for _, end := range []context.CancelFunc{stopNow, abortNow} {
			select {
			case <-signals:
				end()
			case <-done:
				return
			}
		}
	}()
	return stop, abort, func() {
		signal.Stop(signals)
		close(done)
		stopNow()
		abortNow()
	}
}
