package etcd

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/coreos/go-semver/semver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	reconnectFirst = 50 * time.Millisecond  // pause after a refused connection,
	reconnectMost  = 500 * time.Millisecond // which grows to this
	connectWithin  = time.Second

	// A connection on which what was sent stays unacknowledged is given up after
	// this time (TCP_USER_TIMEOUT, which gRPC sets along with its keepalive).
	unacknowledgedFor = time.Second
	keepaliveEvery    = 10 * time.Second // gRPC's minimum
)

// An endpoint is one member of etcd, with a connection of its own.
type endpoint struct {
	address string
	client  *clientv3.Client
}

// Each member has a client of its own, rather than one client all members: a
// call is sent once, to a member that is known, and the next call goes
// elsewhere if it failed. clientv3 would go round them, and every third call
// would wait for the member that hangs.
func dialEndpoint(address string, c Config) (*endpoint, error) {
	secure := insecure.NewCredentials()
	if c.Identity != nil {
		secure = c.Identity.Credentials(nil)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            []string{address},
		DialKeepAliveTime:    keepaliveEvery,
		DialKeepAliveTimeout: unacknowledgedFor,
		MaxUnaryRetries:      1, // attempts, that is: none is a repeat
		MaxCallRecvMsgSize:   math.MaxInt32,
		Logger:               zap.NewNop(), // it speaks of every call that fails; those who call know
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(secure),
			grpc.WithIdleTimeout(0),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: reconnectFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMost},
				MinConnectTimeout: connectWithin,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", address, err)
	}
	client.ActiveConnection().Connect()
	return &endpoint{address: address, client: client}, nil
}

// oldest is the first release whose watch is in order: before it, a requested
// progress notification could overtake the events of the revisions that it
// vouches for (etcd issue 15220), and what is in them would be taken as applied.
// Progress without events is told from 3.5.13 on (etcd pull request 17566).
var oldest = semver.Version{Major: 3, Minor: 5, Patch: 13}

// suitable asks the member which release of etcd it runs, and waits until it
// answers.
func (e *endpoint) suitable(ctx context.Context) error {
	answer, err := pb.NewMaintenanceClient(e.client.ActiveConnection()).Status(ctx, &pb.StatusRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("%q: %w", e.address, explain(err))
	}
	version, err := semver.NewVersion(answer.Version)
	if err != nil || version.LessThan(oldest) {
		return fmt.Errorf("%w: %q runs etcd %q: upgrade it to %s or newer, before which a watch may skip what happened", ErrRefused, e.address, answer.Version, &oldest)
	}
	return nil
}

// endpoints choose the member that is asked next: the one that answered last,
// while it does.
type endpoints struct {
	all []*endpoint

	mu      sync.Mutex
	current int
}

func (e *endpoints) pick() *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.all {
		next := (e.current + i) % len(e.all)
		if e.all[next].client.ActiveConnection().GetState() == connectivity.Ready {
			e.current = next
			return e.all[next]
		}
	}
	return e.all[e.current]
}

// leave turns to another member, unless somebody already has.
func (e *endpoints) leave(failed *endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all[e.current] == failed {
		e.current = (e.current + 1) % len(e.all)
	}
}

func (e *endpoints) close() {
	for _, one := range e.all {
		_ = one.client.Close() // nothing is under way that could be lost
	}
}
