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
	"github.com/corralcache/corral/server"
)

// serve is "corral serve".
type serve struct {
	ConfigFile    string `name:"config" short:"c" placeholder:"FILE" help:"YAML file of settings."`
	server.Config `embed:""`
}

// Run serves until the first SIGTERM or SIGINT and then lets requests finish,
// which a second one cuts short.
func (c *serve) Run(s *session) error {
	config, err := s.load(c.ConfigFile)
	if err != nil {
		return err
	}
	log := slog.New(server.NewLogHandler(s.errs, config.Log, config.Level))
	handler, err := server.NewHandler(config.Config, log)
	if err != nil {
		return err
	}
	daemon, err := server.New(config.Config, server.Options{
		Handler:    handler,
		Logger:     log,
		AccessLog:  s.out,
		Collectors: []prometheus.Collector{prom.New(handler.Cache())},
		Version:    version(),
	})
	if err != nil {
		return errors.Join(config.locate(err), handler.Shutdown(s.ctx))
	}
	memoryLimit, gogc := server.BoundMemory(config.Config)
	log.Info("memory bounded", "max-bytes", config.MaxBytes.String(), "GOMEMLIMIT", memoryLimit, "GOGC", gogc)

	stop, abort, release := stopSignals(s.ctx)
	defer release()
	return daemon.Run(stop, abort)
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
