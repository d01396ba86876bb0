package core

// A Variant is a rule of the protocol that the simulator can switch off. What
// is checked by other harnesses' code (reading s, keeping, stores) stands here
// too, so that there is one list.
type Variant = variant

type variant uint8

const (
	Whole                    variant = iota // nothing is broken
	LeaseFromAnswer                         // the node's lease counts from the answer to its renewal
	NoTombstone                             // a taker writes the table without burying the silent node
	TakerTooEarly                           // a taker waits L/2
	ClockStopsWhilePaused                   // the clock of a suspended machine stands still
	LeaseBeforeApplied                      // the lease is extended before applied has caught up
	SinceBeforeLease                        // s is read before the lease is checked
	RevisionAtEnd                           // v is read at the end of the load
	FillUnchecked                           // the asking node does not check what comes from elsewhere
	AcknowledgedAtCommit                    // an invalidation is acknowledged once it is committed
	StoreUnchecked                          // a store's record is served unchecked
	GrantWhileRecovering                    // a new owner grants before it has recovered
	FillForgotten                           // a holder forgets its outcome before it is acknowledged
	StaleEndCounted                         // the end of an earlier recovery counts for this one
	OlderGenAccepted                        // a lease of an older generation is accepted
	RejoinOmitsALease                       // a holder does not present a lease to the new owner
	TimersNotRestarted                      // a taker does not restart its timers after an outage of its own
	GrantAfterGivingAway                    // a node grants for a partition while its giving it away is under way
	LapsedNodeGrants                        // an owner grants although its lease is out
	SuspectedHolderForgotten                // a key that a parked caller named is not reserved
	AppliedUnapplied                        // a peer says that it has applied an invalidation, and has not
	SetDetached                             // a Set's own invalidation parts its lease from its key
	SetAsOfItsLease                         // what is set is given out as of its lease
	DrainedOwns                             // a drained node is given partitions
	WriterDoesNotLookAgain                  // who has written into a store does not look whether it may be there
	StoreKeepsTheInvalidated                // what is invalidated is not deleted from the store
	GiftUnchecked                           // what is handed over is kept unchecked
	GiveWithoutHandover                     // a write that gives partitions away does not wait for their handover
	SelfNotWaitedFor                        // a node that its watch has not shown itself does not wait for itself
	MissedNotRead                           // what a watch has missed is not read
	variants
)

// Variants are all that can be broken.
func Variants() []Variant {
	all := make([]Variant, 0, variants-1)
	for v := Whole + 1; v < variants; v++ {
		all = append(all, v)
	}
	return all
}

func (v variant) String() string {
	return [...]string{
		"whole", "lease counted from the answer", "no tombstone", "taker waits L/2", "clock that stops while paused",
		"lease extended before applied has caught up", "s read before the lease is checked", "v read at the end of the load",
		"fill not checked at the asking node", "acknowledgement at commit", "store record served unchecked", "grant while RECOVERING",
		"Fill forgotten before its acknowledgement", "stale END counted", "older gen's lease accepted", "Rejoin that omits a lease",
		"taker's timers not restarted", "grant after giving away", "grant without a lease", "named flight not reserved",
		"a peer that acknowledges and does not apply", "Set detached by its own invalidation", "Set given out as of its lease",
		"drained node given partitions", "writer does not look again", "store keeps the invalidated",
		"what is handed over kept unchecked", "partitions given away before their handover", "a node that has not seen itself does not wait for itself",
		"what a watch has missed is not read",
	}[v]
}
