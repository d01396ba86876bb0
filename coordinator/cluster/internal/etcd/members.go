package etcd

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"
)

// lookWithin bounds how long one member may take to say how it is.
const lookWithin = time.Second

// A Member is a member of etcd, as it says itself it is.
type Member struct {
	Name    string
	ID      uint64
	Peer    string // its address for the other members, host:port
	Client  string // and for clients
	Learner bool

	Reachable bool // it has answered; else nothing below is known
	Leader    bool
	Led       bool // it knows a leader
	Version   string
	Bytes     int64         // of its file
	Took      time.Duration // to answer
	Errors    []string      // alarms that it raises, as NOSPACE
	Cause     string        // why it is not reachable
}

// Members asks one member who the members are, and each of them how it is: all
// at once, and for a second at most each. It works without a majority too.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var list *clientv3.MemberListResponse
	var err error
	for range c.endpoints.all { // whoever is left may not be the one that is asked first
		list, err = c.listMembers(ctx)
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("etcd: list the members: %w", err)
	}
	members := make([]Member, len(list.Members))
	var asking sync.WaitGroup
	for i, m := range list.Members {
		members[i] = Member{Name: m.Name, ID: m.ID, Peer: hostOf(m.PeerURLs), Client: hostOf(m.ClientURLs), Learner: m.IsLearner}
		asking.Go(func() { members[i].ask(ctx, c.config) })
	}
	asking.Wait()
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Peer, b.Peer) })
	return members, nil
}

func (c *Client) listMembers(ctx context.Context) (*clientv3.MemberListResponse, error) {
	if c.closed.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, ErrClosed)
	}
	e := c.endpoints.pick()
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	list, err := e.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		c.endpoints.leave(e)
		return nil, fmt.Errorf("%q: %w", e.address, explain(err))
	}
	return list, nil
}

// ask asks the member itself, over a connection made for it: a client that is
// there may know it by another address, or not at all.
func (m *Member) ask(ctx context.Context, config Config) {
	if m.Client == "" {
		m.Cause = "it has not announced itself: it was never started"
		return
	}
	e, err := dialEndpoint(m.Client, config)
	if err != nil {
		m.Cause = err.Error()
		return
	}
	defer e.client.Close()
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	began := time.Now()
	answer, err := pb.NewMaintenanceClient(e.client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		m.Cause = status.Convert(err).Message()
		return
	}
	m.Reachable, m.Took = true, time.Since(began)
	m.Leader, m.Led = answer.Leader == m.ID, answer.Leader != 0
	m.Version, m.Bytes = answer.Version, answer.DbSize
	for _, alarm := range answer.Errors {
		if m.Led || alarm != rpctypes.ErrNoLeader.Error() { // which Led says
			m.Errors = append(m.Errors, alarm)
		}
	}
}

// hostOf is the address in the first of a member's URLs.
func hostOf(urls []string) string {
	if len(urls) == 0 {
		return ""
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return urls[0]
	}
	return u.Host
}
