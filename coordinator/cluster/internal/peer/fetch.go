package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// Fetch reads a body of a peer from an offset, in bytes. It returns once the peer
// has found the body, or ErrNoBody. The body ends with io.EOF if it is whole, and
// with another error if it breaks, if ctx ends, and if the peer's incarnation is
// no longer that of SetPeers. Close, which must be called, may be called while
// Read waits. Bodies go over a connection of their own, with a window for each.
func (t *Transport) Fetch(ctx context.Context, name string, id uint64, offset int64) (io.ReadCloser, error) {
	connection, request, err := t.holder(name)
	if err != nil {
		return nil, fmt.Errorf("peer: fetch body %d of %q: %w", id, name, err)
	}
	request.Body, request.Offset = id, offset
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{ctx: ctx, cancel: cancel, what: fmt.Sprintf("body %d of %q", id, name)}
	if err := r.open(connection, request); err != nil {
		cancel()
		return nil, fmt.Errorf("peer: fetch %s: %w", r.what, err)
	}
	return r, nil
}

// holder is the connection for the bodies of a peer, and a request that names its
// present incarnation.
func (t *Transport) holder(name string) (*grpc.ClientConn, *peerpb.FetchRequest, error) {
	member, p := t.member.Load(), (*t.peers.Load())[name]
	if p == nil {
		return nil, nil, errors.New("there is no such node")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.place == (Place{}) {
		return nil, nil, errors.New("there is no such node")
	}
	if p.bodies == nil {
		connection, err := t.connect(p.place.Address, bodies)
		if err != nil {
			return nil, nil, err
		}
		p.bodies = connection
	}
	return p.bodies, &peerpb.FetchRequest{
		Cluster: member.Cluster,
		Holder:  &peerpb.Node{Name: name, Incarnation: p.place.Incarnation},
	}, nil
}

// A reader reads a body from a stream.
type reader struct {
	ctx    context.Context
	cancel context.CancelFunc
	what   string
	stream grpc.ServerStreamingClient[peerpb.Chunk]
	buffer []byte // of the last chunk
	rest   []byte // what of it has not been read
	err    error
}

func (r *reader) open(connection *grpc.ClientConn, request *peerpb.FetchRequest) error {
	stream, err := peerpb.NewPeerClient(connection).Fetch(r.ctx, request)
	if err != nil {
		return err
	}
	r.stream = stream
	head, err := stream.Header()
	if err == nil && head == nil { // the call ended without a header
		err = stream.RecvMsg(r)
	}
	if status.Code(err) == codes.NotFound {
		return ErrNoBody
	}
	return err
}

func (r *reader) Read(into []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil && len(into) > 0 {
		err := r.stream.RecvMsg(r)
		switch {
		case err == io.EOF:
			r.err = io.EOF
		case r.ctx.Err() != nil:
			r.err = fmt.Errorf("peer: %s: %w", r.what, r.ctx.Err())
		case err != nil:
			r.err = fmt.Errorf("peer: %s: %w", r.what, err)
		}
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(into, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) Close() error {
	r.cancel()
	return nil
}

// Fetch sends a body.
func (v *service) Fetch(request *peerpb.FetchRequest, stream grpc.ServerStreamingServer[peerpb.Chunk]) error {
	t := v.transport
	member := t.member.Load()
	if member == nil {
		return errNotStarted
	}
	if request.Cluster != member.Cluster {
		err := refuse("two clusters meet: a body is asked for by a node of %q, and node %v belongs to %q", request.Cluster, member.Self, member.Cluster)
		t.sayRefused("a body was refused", "", err, "from", callerOf(stream.Context()))
		return err
	}
	holder := core.Node{Name: request.Holder.GetName(), Incarnation: request.Holder.GetIncarnation()}
	if holder != member.Self || request.Offset < 0 {
		return status.Errorf(codes.NotFound, "node %v has no body %d of %v at %d", member.Self, request.Body, holder, request.Offset)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	body, err := member.handler.Body(ctx, request.Body, request.Offset)
	if errors.Is(err, ErrNoBody) {
		return status.Errorf(codes.NotFound, "node %v has no body %d", member.Self, request.Body)
	}
	if err != nil {
		return status.Error(codes.Unknown, err.Error())
	}
	closeOnce := sync.OnceFunc(func() { body.Close() })
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)()
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	return sendBody(body, stream)
}

// sendBody sends what there is of a body as soon as it is there.
func sendBody(body io.Reader, stream grpc.ServerStreamingServer[peerpb.Chunk]) error {
	for {
		data := chunks.Get(chunkBytes)
		n, err := body.Read(*data)
		*data = (*data)[:n]
		if n > 0 {
			if err := stream.SendMsg(chunk{data}); err != nil {
				return err
			}
		} else {
			chunks.Put(data)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return status.Error(codes.DataLoss, err.Error())
		}
	}
}
