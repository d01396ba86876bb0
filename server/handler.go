package server

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// NewHandler makes the caching proxy that a valid Config describes. Whoever
// calls it calls Shutdown or hands it to New.
func NewHandler(config Config, log *slog.Logger) (*httpcache.Proxy, error) {
	return httpcache.NewProxy(httpcache.Options{
		Name:             config.Name,
		Origin:           config.Origin.URL,
		Transport:        transport(config),
		MaxBytes:         int64(CacheBytes(config.MaxBytes)),
		MaxObjectBytes:   int64(min(config.MaxObjectBytes, CacheBytes(config.MaxBytes))),
		MaxKeyBytes:      int(config.MaxKeyBytes),
		LoadTimeout:      config.LoadTimeout,
		TailTimeout:      config.TailTimeout,
		PassTTL:          orNone(config.PassTTL),
		MaxLoads:         config.MaxLoads,
		MaxWaiters:       config.MaxWaiters,
		MaxWaitersPerKey: config.MaxKeyWaiters,
		IgnoreCookies:    config.IgnoreCookies == On,
		Logger:           log,
	})
}

// orNone writes a duration of 0 as those options do for which 0 stands for the
// default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// transport is how the origin is reached: directly, whatever HTTP_PROXY says
// on this machine, and without a compression of its own, for what the origin
// sends is what is stored.
func transport(config Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	dialer := &net.Dialer{Timeout: config.OriginConnectTimeout}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    config.OriginConnectTimeout,
		MaxConnsPerHost:        config.OriginMaxConns,
		MaxIdleConnsPerHost:    max(config.OriginMaxConns, config.MaxLoads),
		IdleConnTimeout:        config.OriginIdleTimeout,
		MaxResponseHeaderBytes: int64(config.OriginMaxHeaderBytes),
		DisableCompression:     true,
		Protocols:              protocols,
	}
}
