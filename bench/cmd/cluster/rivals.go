package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/golang/groupcache"
	"github.com/golang/groupcache/consistenthash"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
)

// Names of contenders.
const (
	corralName     = "corral"
	unaryName      = "grpc-unary"
	streamName     = "grpc-stream"
	natsName       = "nats"
	groupcacheName = "groupcache"
)

var rivals = []string{unaryName, streamName, natsName, groupcacheName}

// servers are the rivals' in one process. Each has a value for every key.
type servers struct {
	address string // of gRPC
	grpc    *grpc.Server
	nats    *nats.Conn
	http    *http.Server
	pool    *groupcache.HTTPPool
	hot     *groupcache.Group // asked for what its owner has; nothing is kept by who asks
	cold    *groupcache.Group
	ring    *consistenthash.Map
	urls    []string
	self    int
}

func serveRivals(s Start, l *loads) (*servers, error) {
	r := &servers{self: s.Index}
	if err := r.serveGRPC(); err != nil {
		return nil, err
	}
	if err := r.serveNATS(s); err != nil {
		return nil, err
	}
	return r, r.serveGroupcache(s, l)
}

func (r *servers) serveGRPC() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = listener.Addr().String()
	r.grpc = grpc.NewServer()
	r.grpc.RegisterService(&echoService, nil)
	go r.grpc.Serve(listener)
	return nil
}

// serveNATS answers requests that name this node.
func (r *servers) serveNATS(s Start) (err error) {
	if r.nats, err = nats.Connect(s.Exchange); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	value := make([]byte, valueBytes)
	if _, err = r.nats.Subscribe("get."+s.Name, func(m *nats.Msg) { m.Respond(value) }); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	return r.nats.Flush()
}

// serveGroupcache has as many idle connections as there are callers, which its
// default does not. The first node keeps nothing of what it asks others for, so
// that each get is one of another node.
func (r *servers) serveGroupcache(s Start, l *loads) error {
	for _, address := range s.Groupcache {
		r.urls = append(r.urls, "http://"+address)
	}
	r.pool = groupcache.NewHTTPPoolOpts(r.urls[s.Index], nil)
	transport := &http.Transport{MaxIdleConnsPerHost: 4096}
	r.pool.Transport = func(context.Context) http.RoundTripper { return transport }
	r.pool.Set(r.urls...)
	r.ring = consistenthash.New(50, nil) // as the pool's own
	r.ring.Add(r.urls...)
	getter := groupcache.GetterFunc(func(ctx context.Context, key string, dest groupcache.Sink) error {
		value, err := l.value(ctx, key)
		if err != nil {
			return err
		}
		return dest.SetBytes(value)
	})
	hot := int64(64 << 20)
	if s.Index == 0 {
		hot = 0
	}
	r.hot = groupcache.NewGroup("hot", hot, getter)
	r.cold = groupcache.NewGroup("cold", 64<<20, getter)
	listener, err := net.Listen("tcp", s.Groupcache[s.Index])
	if err != nil {
		return err
	}
	r.http = &http.Server{Handler: r.pool}
	go r.http.Serve(listener)
	return nil
}

func (r *servers) stop() {
	if r.grpc != nil {
		r.grpc.Stop()
	}
	if r.nats != nil {
		r.nats.Close()
	}
	if r.http != nil {
		r.http.Close()
	}
}

// askGroup gets a value of a group.
func askGroup(group *groupcache.Group) asker {
	return func(ctx context.Context, key string) error {
		var value []byte
		if err := group.Get(ctx, key, groupcache.AllocatingByteSliceSink(&value)); err != nil {
			return err
		}
		return sized(key, len(value))
	}
}

// GroupOwned are keys that another node owns by groupcache's own placement.
func (m *Member) GroupOwned(o Owned, keys *[]string) error {
	owner := m.rivals.urls[o.Owner[0]-'a']
	for i := 0; len(*keys) < o.Count; i++ {
		if key := fmt.Sprintf("%s/%d", o.Prefix, i); m.rivals.ring.Get(key) == owner {
			*keys = append(*keys, key)
		}
	}
	return nil
}

// Meet says which node is asked, and where its rivals are.
type Meet struct{ Owner, Address string }

// Meet connects the rivals of this node to those of another.
func (m *Member) Meet(other Meet, _ *Nothing) error {
	conn, err := grpc.NewClient(other.Address, plainText)
	if err != nil {
		return err
	}
	stream, err := openStream(conn)
	if err != nil {
		return err
	}
	subject := "get." + other.Owner
	m.askers[unaryName] = askUnary(conn)
	m.askers[streamName] = stream.ask
	m.askers[natsName] = func(_ context.Context, key string) error {
		answer, err := m.rivals.nats.Request(subject, []byte(key), patience)
		if err != nil {
			return err
		}
		return sized(key, len(answer.Data))
	}
	m.askers[groupcacheName] = askGroup(m.rivals.hot)
	return nil
}

// An Exchange is the NATS server.
type Exchange struct{ server *server.Server }

// Start starts it and returns its address.
func (e *Exchange) Start(_ Nothing, url *string) (err error) {
	e.server, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		return err
	}
	e.server.Start()
	if !e.server.ReadyForConnections(patience) {
		return errors.New("the NATS server does not listen")
	}
	*url = e.server.ClientURL()
	return nil
}

// Close stops it.
func (e *Exchange) Close() error {
	if e.server != nil {
		e.server.Shutdown()
	}
	return nil
}
