package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A notice is a line of the log that somebody may have to act on: what has
// happened, what those who use the cache notice of it, and what to do about it.
// To whom, and why, are attributes of the line.
type notice struct {
	level                slog.Level
	what, effect, remedy string
}

// attributes are those of a line, the ones that vary first.
func (n notice) attributes(varying []any) []any {
	return append(varying, "effect", n.effect, "remedy", n.remedy)
}

// say writes a notice with the attributes that name whom it concerns.
func (n *Node) say(what notice, about ...any) {
	n.log.Log(context.Background(), what.level, what.what, what.attributes(about)...)
}

// logEvery is how often the same complaint is repeated.
const logEvery = 10 * time.Second

// once says the same thing of the same once in logEvery.
type once struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time // by what, and about whom: as many as there are in this package, and nodes
}

// say writes a notice unless it was written of the same within logEvery. The
// cause may vary.
func (o *once) say(what notice, cause error, about ...any) {
	if o.news(what.what + fmt.Sprint(about...)) {
		o.log.Log(context.Background(), what.level, what.what, what.attributes(append(about, "cause", cause))...)
	}
}

func (o *once) news(line string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if last, said := o.last[line]; said && now.Sub(last) < logEvery {
		return false
	}
	if o.last == nil || len(o.last) > maxQuiet {
		o.last = map[string]time.Time{}
	}
	o.last[line] = now
	return true
}

// Of this node's own lease and life.
var (
	saysLapsed = notice{slog.LevelWarn, "the lease of this node has run out",
		"it gives nothing that it has and grants nothing; what no other node can answer is refused (the proxy: 503 with Retry-After); loads that run go on",
		"none is needed if it passes; else see whether etcd has a leader and answers (corral cluster members), whether this node reaches it, and whether this machine is short of processor or was suspended"}
	saysNotRenewed = notice{slog.LevelWarn, "a renewal of this node's lease failed",
		"none as long as one of the next succeeds, before the lease has run out; corral_cluster_lease_seconds shows what is left",
		"see whether etcd has a leader and its disk keeps up (corral cluster members), and whether this node reaches it"}
	saysFenced = notice{slog.LevelWarn, "this node was taken for dead, and begins anew",
		"its keys have gone to other nodes, and what it was computing may be computed once more",
		"find out why it did not renew its lease: no way to etcd, a suspended or overloaded machine, a process that was stopped"}
	saysStillDead = notice{slog.LevelWarn, "this node was taken for dead, and cannot come back yet",
		"it gives nothing that it has and grants nothing",
		"see whether it reaches etcd (corral cluster members), and whether another process uses its name or its address"}
	saysLeftEarly = notice{slog.LevelWarn, "this node leaves without having given its keys away",
		"they have an owner again once the others have missed it for as long as its lease, some 2 s; requests for them wait",
		"see whether etcd has a leader (corral cluster members); nothing is to be done at this node"}
	saysClock = notice{slog.LevelError, "this machine's clock runs at another rate than most others', by more than leases tolerate",
		"the node gives its lease up until it is mended: it gives nothing that it has and grants nothing",
		"mend the clock of this machine: its clock source, or the virtual machine's"}
	saysLostTrack = notice{slog.LevelError, "this node follows the cluster no longer",
		"it gives nothing and grants nothing once its lease has run out, and stays so",
		"if etcd was put back from a backup, stop all nodes, and start them again; else restart this one"}
	saysNoTable = notice{slog.LevelError, "this node leaves: the table of owners cannot be read",
		"it gives nothing and grants nothing; its keys go to other nodes",
		"give it the version that the other nodes run, or see who else writes below the prefix in etcd"}
	saysNotRenewedPair = notice{slog.LevelWarn, "the member of etcd in this node cannot be given the new certificate",
		"it shows the one before, and can begin no connection once that has ended",
		"make room on the disk of cluster.dir and let this user write there; then touch the files of the certificate, or restart the node"}
	saysMemberEnded = notice{slog.LevelError, "the member of etcd in this node has ended",
		"the node goes on with the other members; with one more of them gone there is no majority, and every node loses its lease",
		"mend the cause, mostly its disk, and restart the node"}
)

// Of other nodes.
var (
	saysBuried = notice{slog.LevelWarn, "a node is silent, and was declared dead",
		"its keys go to others: what it had cached or was computing is loaded again where it is asked for",
		"restart it if it is gone; if its process runs, see whether it reaches etcd; where it was taken away on purpose, nothing"}
	saysUnreachable = notice{slog.LevelWarn, "the owner of keys cannot be reached",
		"requests for them waited 5 s here, and were refused (the proxy: 503); at other nodes they may work",
		"see that the two nodes reach each other's cluster.listen, in both directions, and that their certificates are accepted"}
	saysSilent = notice{slog.LevelWarn, "an invalidation was acknowledged only once the lease of a node had run out",
		"purges take 2 s as long as this lasts; nobody is given what they concern",
		"see to that node: it is stopped, overloaded, or has no stream to this one (corral cluster members); restart it if it does not come back"}
	saysClocks = notice{slog.LevelWarn, "the clocks of this node and another run at rates that differ by more than leases tolerate",
		"none yet; a node whose clock is slow could give what is stale after it was taken for dead",
		"find out which of the two clocks is wrong, and mend that machine's clock source"}
	saysBadMessage = notice{slog.LevelWarn, "a message of another node cannot be read, and was passed over",
		"a request that waited for it was refused, or is loaded again",
		"see that both nodes run versions that go together"}
)

// Of what is agreed in etcd.
var (
	saysNotWritten = notice{slog.LevelWarn, "the table of owners was not written",
		"keys stay where they are, or without an owner, until it is; it is tried again",
		"see whether etcd has a leader and room (corral cluster members)"}
	saysWatchEnded = notice{slog.LevelWarn, "the watch of etcd ended, and begins anew",
		"what was invalidated meanwhile is read from the log; where that does not reach back, everything that this node has cached is loaded again",
		"see whether this node was away from etcd for longer than its history reaches, 10 min, or whether etcd was compacted by hand"}
	saysNotRead = notice{slog.LevelWarn, "etcd cannot be read",
		"this node has no lease until it can: it gives nothing that it has and grants nothing",
		"see whether etcd has a leader (corral cluster members), and whether this node reaches it"}
	saysBadInvalidation = notice{slog.LevelWarn, "an invalidation cannot be read: everything counts as invalidated",
		"everything that this node has cached is loaded again",
		"see that all nodes run versions that go together, and that nobody else writes below the prefix in etcd"}
	saysBadRecord = notice{slog.LevelWarn, "the record of a node cannot be read, and is passed over",
		"this node does not know of that one, and sends it nothing",
		"see that all nodes run versions that go together, and that nobody else writes below the prefix in etcd"}
	saysOldTable = notice{slog.LevelWarn, "a table of owners that is older than the one in force was passed over",
		"none: it is written over",
		"see whether somebody put etcd back from a backup, or writes below the prefix by hand"}
)

// Of values.
var (
	saysNotShared = notice{slog.LevelWarn, "a value is not given to other nodes",
		"each node that is asked for it loads it by itself",
		"make the value smaller, or its Codec able to encode it; the cause says which"}
	saysNotHandedOver = notice{slog.LevelWarn, "what this node has kept was not handed over as a whole to the next owner of its keys",
		"the rest is loaded again when it is asked for",
		"nothing, if it happens once; else see that the two nodes reach each other, and that what is kept goes over the network within five seconds"}
	saysNotKept = notice{slog.LevelWarn, "a value of another node is not kept by its owner",
		"it is loaded again when it is next asked for",
		"see that all nodes have the same Codec and limits; the cause says which"}
)
