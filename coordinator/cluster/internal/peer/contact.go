package peer

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// Contact announces something to the process at an address, of which nothing
// needs to be known, and returns what it announces. What is in it, at most 64
// KiB, is for those who have no cluster in common yet to decide.
func (t *Transport) Contact(ctx context.Context, address string, ours []byte) (theirs []byte, err error) {
	connection, err := t.connect(address, bodies)
	if err != nil {
		return nil, fmt.Errorf("peer: contact %q: %w", address, err)
	}
	defer connection.Close()
	answer, err := peerpb.NewPeerClient(connection).Contact(ctx, &peerpb.Announcement{Content: ours})
	if err != nil {
		return nil, fmt.Errorf("peer: contact %q: %w", address, err)
	}
	return answer.Content, nil
}

// Contact answers an announcement.
func (v *service) Contact(ctx context.Context, announcement *peerpb.Announcement) (*peerpb.Announcement, error) {
	answer := v.transport.config.Contact
	switch {
	case answer == nil:
		return nil, status.Error(codes.Unimplemented, "this node has nothing to announce")
	case len(announcement.Content) > announcementBytes:
		return nil, status.Errorf(codes.InvalidArgument, "an announcement of %d bytes is more than %d", len(announcement.Content), announcementBytes)
	}
	ours, err := answer(ctx, announcement.Content)
	if stranger := new(refusal); errors.As(err, &stranger) {
		v.transport.sayRefused("a contact was refused", "", err, "from", callerOf(ctx))
	}
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &peerpb.Announcement{Content: ours}, nil
}
