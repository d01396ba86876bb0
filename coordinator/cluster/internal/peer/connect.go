package peer

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// messageWindow is what may be on its way to a node on its control stream. It
	// is fixed, so that gRPC sends no pings of its own to find one.
	messageWindow = 1 << 20
	// bodyWindow is what may be on its way of one body, and what one that nobody
	// reads holds in memory; bodiesWindow of all bodies of a connection. What of
	// that is not read does not count against it.
	bodyWindow   = 256 << 10
	bodiesWindow = 4 << 20

	writeBuffer = 64 << 10
	readBuffer  = 64 << 10
	headerBytes = 16 << 10

	// bodyPing is how often the ends of a connection for bodies look whether the
	// other is there, when nothing comes. Ten seconds is gRPC's least for callers.
	bodyPing        = 10 * time.Second
	bodyPingTimeout = 2 * time.Second
)

// A purpose is what a connection is for: its windows.
type purpose struct{ stream, connection int32 }

var (
	control = purpose{messageWindow, messageWindow}
	bodies  = purpose{bodyWindow, bodiesWindow}
)

// connect makes a connection, which calls with its first use.
func (t *Transport) connect(address string, p purpose) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(t.secure),
		grpc.WithContextDialer(t.config.Dial), // and so no proxy
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(t.largestBatch())),
		grpc.WithStaticStreamWindowSize(p.stream),
		grpc.WithStaticConnWindowSize(p.connection),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithMaxHeaderListSize(headerBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: bodyPing, Timeout: bodyPingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 2, Jitter: 0.5, MaxDelay: longestPause},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	)
}

func (t *Transport) serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(t.secure),
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(t.largestBatch()),
		grpc.MaxConcurrentStreams(uint32(t.config.Limits.Fetches)),
		grpc.StaticStreamWindowSize(messageWindow),
		grpc.StaticConnWindowSize(messageWindow),
		grpc.WriteBufferSize(writeBuffer),
		grpc.ReadBufferSize(readBuffer),
		grpc.MaxHeaderListSize(headerBytes),
		grpc.ConnectionTimeout(dialTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: bodyPing, Timeout: bodyPingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: bodyPing / 2}),
		grpc.WaitForHandlers(true),
	}
}

// largestBatch is what a batch may have: one message of the greatest size, or
// many in a full batch.
func (t *Transport) largestBatch() int {
	return max(t.config.Limits.MessageBytes, batchBytes) + batchSlack
}
