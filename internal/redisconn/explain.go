package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/rueidis"
)

// What an explained error is, by errors.Is. Its message also has the remedy and
// what the server said.
var (
	ErrNotConnected = errors.New("redis: not connected yet")
	ErrUnreachable  = errors.New("redis: the server cannot be reached")
	ErrTimeout      = errors.New("redis: no answer in time")
	ErrTLS          = errors.New("redis: no TLS connection")
	ErrAuth         = errors.New("redis: the server refuses the user or the password")
	ErrForbidden    = errors.New("redis: the user may not do this")
	ErrTooOld       = errors.New("redis: the server is too old")
	ErrReadOnly     = errors.New("redis: the server is a replica, which takes no writes")
	ErrFull         = errors.New("redis: the server is out of memory")
	ErrDisk         = errors.New("redis: the server takes no writes because it cannot persist them")
	ErrLoading      = errors.New("redis: the server is reading its data in")
	ErrBusy         = errors.New("redis: the server is held up by a script")
	ErrClusterDown  = errors.New("redis: the Cluster does not serve this key")
	ErrMoved        = errors.New("redis: the key is on another node of a Cluster")
	ErrNoScript     = errors.New("redis: the server does not know the script")
	ErrReplicas     = errors.New("redis: too few replicas have the write")
	ErrClients      = errors.New("redis: the server has all the connections it takes")
	ErrWrongType    = errors.New("redis: the key holds something of another type")
	ErrRefused      = errors.New("redis: the server refuses the command")
)

// said are what errors of the server begin with.
var said = []struct {
	begins string
	is     error
	remedy string
}{
	{"WRONGPASS", ErrAuth, "check the user name and the password"},
	{"NOAUTH", ErrAuth, "it wants a password and has been given none: set one"},
	{"ERR AUTH", ErrAuth, "a password is set here and the server has none: take it out, or set requirepass"},
	{"ERR Client sent AUTH", ErrAuth, "a password is set here and the server has none: take it out, or set requirepass"},
	{"ERR invalid password", ErrAuth, "check the password"},
	{"NOPERM", ErrForbidden, "give the user the command and the keys (ACL SETUSER)"},
	{"ERR The user executing the script", ErrForbidden, "give the user the commands that scripts run, and the keys (ACL SETUSER)"},
	{"ERR ACL failure in script", ErrForbidden, "give the user the commands that scripts run, and the keys (ACL SETUSER)"},
	{"READONLY", ErrReadOnly, "name its master, or let Sentinel name it (SentinelMaster)"},
	{"OOM", ErrFull, "raise maxmemory, or set a maxmemory-policy that evicts keys with a TTL (volatile-lru)"},
	{"MISCONF", ErrDisk, "look at its log and its disk, or set stop-writes-on-bgsave-error no"},
	{"LOADING", ErrLoading, "it ends by itself"},
	{"MASTERDOWN", ErrReadOnly, "its master is away: it ends with the failover"},
	{"BUSY", ErrBusy, "a script runs longer than busy-reply-threshold: find it with SLOWLOG"},
	{"CLUSTERDOWN", ErrClusterDown, "look at CLUSTER NODES: a slot has no master"},
	{"TRYAGAIN", ErrClusterDown, "its slot is on the move: it ends by itself"},
	{"MOVED", ErrMoved, "give the address of a node that says cluster_enabled:1"},
	{"ASK", ErrMoved, "its slot is on the move: it ends by itself"},
	{"CROSSSLOT", ErrRefused, "the keys of one command are on several nodes of the Cluster"},
	{"NOSCRIPT", ErrNoScript, "somebody ran SCRIPT FLUSH: it is sent again"},
	{"NOREPLICAS", ErrReplicas, "look at min-replicas-to-write and at the replicas"},
	{"ERR max number of clients", ErrClients, "raise maxclients, or set Connections lower"},
	{"ERR unknown command", ErrTooOld, "Redis 6.0 is the oldest that will do; rename-command hides commands too"},
	{"WRONGTYPE", ErrWrongType, "something else writes under this prefix: give each its own"},
	{"ERR DB index", ErrRefused, "the database does not exist: look at databases in redis.conf"},
}

// Explain makes an error of a call one whose message names the cause and the
// remedy, and that is one of this package's by errors.Is. The original stays in
// the chain. Nil, a nil answer and what is explained already stay as they are.
func Explain(err error) error {
	var known explained
	if err == nil || rueidis.IsRedisNil(err) || errors.As(err, &known) || errors.Is(err, ErrNotConnected) {
		return err
	}
	if answer := (*rueidis.RedisError)(nil); errors.As(err, &answer) {
		return ofServer(err, answer.Error())
	}
	remedy, is := ofNetwork(err)
	if is == nil {
		return err
	}
	return explained{is, remedy, err}
}

func ofServer(err error, text string) error {
	for _, s := range said {
		if strings.HasPrefix(text, s.begins) || strings.HasPrefix("ERR "+text, s.begins) {
			return explained{s.is, s.remedy, err}
		}
	}
	return explained{ErrRefused, "", err}
}

func ofNetwork(err error) (remedy string, is error) {
	var (
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case errors.Is(err, rueidis.ErrNoCache) && strings.HasPrefix(err.Error(), "NOPERM"):
		return "give the user CLIENT TRACKING (ACL SETUSER), or switch client-side caching off", ErrForbidden
	case errors.Is(err, rueidis.ErrNoCache):
		return "it has no RESP3 or no CLIENT TRACKING: Redis 6.0 is the oldest that will do; for a proxy without them switch client-side caching off", ErrTooOld
	case errors.Is(err, rueidis.ErrClosing):
		return "", nil
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify), errors.As(err, &alert):
		return "check TLS: the authorities, the server's name, the client's certificate", ErrTLS
	case errors.As(err, &record):
		return "the server speaks no TLS there: write redis:// for rediss://, or use its TLS port", ErrTLS
	case errors.As(err, &dns):
		return "the name does not resolve: check the address", ErrUnreachable
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check that it runs, and the address", ErrUnreachable
	case errors.Is(err, context.Canceled):
		return "", nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "it hangs, is overloaded, has no TLS while it is asked for, or the network drops packets", ErrTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the connection ended: it is made again; if that repeats, the port may want TLS", ErrUnreachable
	case errors.Is(err, rueidis.ErrNoSlot):
		return "look at CLUSTER NODES: a slot has no master", ErrClusterDown
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return "check the address and the network", ErrUnreachable
	}
	return "", nil
}

func isTimeout(err error) bool {
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout()
}

// explained is an error that says what it is and what to do.
type explained struct {
	is     error
	remedy string
	cause  error
}

func (e explained) Error() string {
	if e.remedy == "" {
		return fmt.Sprintf("%v: %v", e.is, e.cause)
	}
	return fmt.Sprintf("%v: %s: %v", e.is, e.remedy, e.cause)
}

func (e explained) Unwrap() []error { return []error{e.is, e.cause} }

// RefusesWrites reports whether an error says that the server takes no writes at
// the moment, while it may answer reads.
func RefusesWrites(err error) bool {
	err = Explain(err)
	for _, is := range []error{ErrReadOnly, ErrFull, ErrDisk, ErrReplicas, ErrForbidden} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// Outage reports whether an error says that the server answers nobody at the
// moment, as opposed to one command that it does not take, or to writes alone
// that it does not take (RefusesWrites). A context that its caller cancelled says
// nothing.
func Outage(err error) bool {
	err = Explain(err)
	for _, is := range []error{
		ErrNotConnected, ErrUnreachable, ErrTimeout, ErrTLS, ErrAuth, ErrTooOld, ErrLoading, ErrBusy,
		ErrClusterDown, ErrClients,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
