package etcd

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

// quiet is the level of etcd's log that is passed on: what it calls
// information is of use to those who mend etcd.
const quiet = zapcore.WarnLevel

// zapTo returns etcd's kind of logger, which writes into log.
func zapTo(log *slog.Logger, least zapcore.Level, options ...zap.Option) *zap.Logger {
	return zap.New(&slogCore{log: log.Handler(), least: least}, options...)
}

// A slogCore hands zap's records to a slog.Handler.
type slogCore struct {
	log     slog.Handler
	least   zapcore.Level
	refused func(from string, cause error) // may be nil
}

func (c *slogCore) Enabled(level zapcore.Level) bool {
	return level >= c.least && c.log.Enabled(context.Background(), slogLevel(level))
}

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{log: c.log.WithAttrs(attributes(fields)), least: c.least, refused: c.refused}
}

func (c *slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// expected are messages that say nothing to whoever runs Corral, as it is built.
var expected = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"simple token is not cryptographically signed":                                         true,
}

// rejected is what etcd says of a caller whose handshake has failed, each time.
const rejected = "rejected connection on peer endpoint"

// stranger is who was rejected, and why.
func stranger(fields []zapcore.Field) (from string, cause error) {
	cause = errors.New("its handshake has failed")
	for _, field := range fields {
		switch err, isError := field.Interface.(error); {
		case field.Key == "remote-addr":
			from = field.String
		case isError:
			cause = identity.ExplainCaller(err)
		}
	}
	return from, cause
}

// closing are the words in what etcd says of its own listeners when it is
// stopped.
var closing = []string{"use of closed network connection", "mux: server closed", "http: Server closed"}

func passedOver(message string, attrs []slog.Attr) bool {
	return expected[message] || slices.ContainsFunc(attrs, func(a slog.Attr) bool {
		return a.Key == "error" && slices.ContainsFunc(closing, func(words string) bool { return strings.Contains(a.Value.String(), words) })
	})
}

func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Message == rejected && c.refused != nil {
		c.refused(stranger(fields))
		return nil
	}
	attrs := attributes(fields)
	if passedOver(entry.Message, attrs) {
		return nil
	}
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), "etcd: "+entry.Message, entry.Caller.PC)
	record.AddAttrs(attrs...)
	return c.log.Handle(context.Background(), record)
}

func (c *slogCore) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	case level == zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func attributes(fields []zapcore.Field) []slog.Attr {
	all := zapcore.NewMapObjectEncoder()
	names := make([]string, 0, len(fields))
	for _, field := range fields {
		field.AddTo(all)
		names = append(names, field.Key)
	}
	attrs := make([]slog.Attr, 0, len(fields))
	for _, name := range names {
		if value, ok := all.Fields[name]; ok {
			attrs = append(attrs, slog.Any(name, value))
		}
	}
	return attrs
}

// onFatal is what happens where etcd would end the process. The goroutine ends
// instead, which is as safe: nothing that should have been saved is
// acknowledged after it.
type onFatal func(message string)

func (f onFatal) OnWrite(entry *zapcore.CheckedEntry, _ []zapcore.Field) {
	f(entry.Message)
	runtime.Goexit()
}
