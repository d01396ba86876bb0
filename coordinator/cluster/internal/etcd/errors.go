package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrUnknown says that no answer tells what became of a call: a transaction
	// may or may not have been carried out, or may yet be.
	ErrUnknown = errors.New("outcome unknown")

	// ErrRefused says that a call has certainly changed nothing, and that a
	// repeat comes to the same until somebody does what the error says.
	ErrRefused = errors.New("refused")

	// ErrFull says that etcd has no space left. It comes with ErrUnknown: a
	// member that learns it while it applies a transaction has applied it.
	ErrFull = errors.New("etcd is full")

	// ErrCompacted ends a Watch from a revision that is no longer in etcd's
	// history: what happened since is lost, so Read anew and watch from there.
	ErrCompacted = errors.New("revision compacted")

	// ErrRolledBack says that etcd does not hold the history that was seen
	// before: it was restored from a backup, or another one answers in its
	// place. It is final for the client that has seen it.
	ErrRolledBack = errors.New("etcd's history was rolled back")

	// ErrClosed is what calls return after Close.
	ErrClosed = errors.New("client closed")
)

// remedies says, for each error that etcd gives before it has proposed
// anything, what an operator can do about it. What is not listed is unknown.
var remedies = map[error]string{
	rpctypes.ErrRequestTooLarge:  "raise etcd's --max-request-bytes, or write less at once",
	rpctypes.ErrTooManyOps:       "raise etcd's --max-txn-ops, or write less at once",
	rpctypes.ErrDuplicateKey:     "name each key once",
	rpctypes.ErrEmptyKey:         "name the key",
	rpctypes.ErrTooManyRequests:  "etcd lags behind what it is asked: see to its disks and its load",
	rpctypes.ErrPermissionDenied: "give the user of this node's certificate read and write permission on the prefix",
	rpctypes.ErrUserEmpty:        "etcd demands authentication: give this node a certificate that names a user",
	rpctypes.ErrAuthFailed:       "check the user and the password",
	rpctypes.ErrInvalidAuthToken: "check the clocks and the authentication of etcd",
	rpctypes.ErrAuthOldRevision:  "the permissions have just been changed: repeat",
}

// explain says what an error of a call means, and what to do about it.
func explain(err error) error {
	cause := rpctypes.Error(err)
	if errors.Is(cause, rpctypes.ErrNoSpace) {
		return fmt.Errorf("%w: %w: %w: compact and defragment it, raise its quota, then disarm its alarm (etcdctl alarm disarm)", ErrUnknown, ErrFull, err)
	}
	for known, remedy := range remedies {
		if errors.Is(cause, known) {
			return fmt.Errorf("%w: %w: %s", ErrRefused, err, remedy)
		}
	}
	switch status.Code(err) {
	case codes.Unimplemented:
		return fmt.Errorf("%w: %w: this is no etcd, or a proxy that lets less than its interface through", ErrRefused, err)
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("%w: %w: check the certificates and permissions", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// ofTheCaller reports whether a call ended because its caller gave up, which
// says nothing about etcd.
func ofTheCaller(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
