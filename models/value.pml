/*
 * Is a value too old to be given? The rule of revisions, a node's lease, its
 * tombstone, and one invalidation, on three nodes with one key. docs/model.md
 * says which step here is which in the code, and what is left out.
 *
 * Node 0 owns the key; any node asks, waits, computes and keeps. Revisions are
 * 1 before the invalidation and 2 from it on. Between any two steps of a node
 * any time may pass and anything else may happen: that is its pause; `watch`
 * is its watch with any lag.
 *
 * One node is the subject: those who ask there are judged, and its lease and
 * its record in etcd are spelled out. The others are given more freedom than
 * they have: they act without a lease, and the invalidation does not wait for
 * them. What holds for a subject among such nodes holds among real ones.
 *
 * Time. A lease that was renewed at t0 runs until t0 + L - g. Here it runs
 * until a step of time that may come at any moment. What others do L + g after
 * they saw the renewal, or after a commit, is open to them only once that step
 * has come: their L + g ends after the holder's L - g while clock rates differ
 * by less than g/L.
 *
 * C1 and C2 are assertions. C5 is asserted where nothing more can happen. Each -D switch breaks one rule, and must be found.
 */

#define N 3
#define GETS 2
#define OWNER 0
#ifndef SUBJECT                  /* 0, or 1: nodes 1 and 2 are alike */
#define SUBJECT 1
#endif

/* etcd. */
bit committed;                   /* the invalidation is written, at revision 2 */
bit acked;                       /* Invalidate has returned to its caller */
bit tombstone;                   /* the subject can never renew again */
bit gone;                        /* the subject is left out of what Invalidate waits for */
bit decided;                     /* a taker has seen the subject's record unchanged for L + g */
#define REVISION (1 + committed)

/* Nodes. */
byte applied[N] = 1;             /* the revision up to which the watch is applied */

/* The subject's lease, and its renewal on its way. */
bit lease = 1;                   /* the lease runs */
bit leaseBefore = 1;             /* it counts from before the commit of the invalidation */
byte renewal;                    /* what its next renewal is */
bit renewalRuns;                 /* t0 + L - g of that is not over */
bit renewalBefore;               /* its t0 is before the commit of the invalidation */
byte renewalRead;                /* the revision that its transaction read */
#define IDLE 0
#define SENT 1
#define WRITTEN 2

/* What a node keeps: entry, mirror or store. */
byte keptV[N];                   /* its v; 0: nothing kept */
bit keptOld[N];                  /* its load began before the invalidation was committed */

/* The flight of a node. */
byte flight[N];
byte flightS[N];                 /* the s that Join carries */
byte flightV[N];
bit flightOld[N];
#define NONE 0
#define JOINING 1
#define PARKED 2
#define LEASED 3                 /* the lease is on its way */
#define LOADING 4
#define ANSWERED 5               /* the value is on its way */

/* The owner's record of the key, and the Fill on its way to it. */
byte holder;                     /* 1 + the node that holds the lease; 0: nobody */
byte fillV;                      /* 0: no Fill on its way */
bit fillOld;

/* Callers at the subject. */
byte get[GETS];
byte s[GETS];
bit after[GETS];                 /* arrived after the invalidation was acknowledged */
#define ARRIVED 1
#define CHECKED 2
#define READ 3
#define WAITING 4
#define DONE 5

bit quiet;                       /* from here on no lease ends and nobody is lost */

/* No invalidation lies in (v, s]. */
#define untouched(v, s) (!((v) < 2 && (s) >= 2))

#ifdef UNCHECKED                 /* broken: a fill is not checked at the asking node */
#define FILL_CHECKED 0
#else
#define FILL_CHECKED 1
#endif

#ifdef STORE_UNCHECKED           /* broken: what is kept in a store is served unchecked */
#define hit(n, s) (keptV[n] != 0)
#else
#define hit(n, s) (keptV[n] != 0 && untouched(keptV[n], s))
#endif

#ifndef C1_ONLY
#define C1_ONLY 0
#endif

#ifdef NO_CATCHUP                /* broken: the lease is extended before applied has caught up */
#define caughtUp 1
#else
#define caughtUp (applied[SUBJECT] >= renewalRead)
#endif

#ifdef TAKER_EARLY               /* broken: the taker does not wait until the lease is over */
#define leaseIsOver 1
#else
#define leaseIsOver (!lease && !(renewal == WRITTEN && renewalRuns))
#endif

/* L + g have passed since the commit: no lease that counts from before it runs. */
#define timeIsOver (!(lease && leaseBefore) && !(renewal != IDLE && renewalRuns && renewalBefore))

#ifdef ACK_AT_COMMIT             /* broken: acknowledged when etcd has it */
#define mayAck 1
#else
#define mayAck (applied[SUBJECT] >= 2 || gone || timeIsOver)
#endif

inline answer(g, old) {
	assert(!(after[g] && old));  /* C1 */
	get[g] = DONE; s[g] = 0
}

/* What comes to the subject is for a caller there by its own s. */
inline offer(g, v, old, checked) {
	if
	:: get[g] == WAITING && (!checked || untouched(v, s[g])) -> answer(g, old)
	:: get[g] == WAITING && checked && !untouched(v, s[g]) -> get[g] = READ
	:: get[g] != WAITING
	fi
}

inline clearFlight(n) {
	flight[n] = NONE; flightS[n] = 0; flightV[n] = 0; flightOld[n] = 0
}

/* What comes to a node is for who waits there, and is kept by what is applied there. */
inline deliver(n, checked) {
	if
	:: n == SUBJECT -> offer(0, flightV[n], flightOld[n], checked); offer(1, flightV[n], flightOld[n], checked)
	:: else
	fi;
	if
	:: !checked || untouched(flightV[n], applied[n]) -> keptV[n] = flightV[n]; keptOld[n] = flightOld[n]
	:: else
	fi;
	clearFlight(n)
}

inline deliverParked(m) {
	if
	:: flight[m] == PARKED -> flight[m] = ANSWERED; flightS[m] = 0; flightV[m] = fillV; flightOld[m] = fillOld
	:: else
	fi
}

inline freeKey() {
	holder = 0; fillV = 0; fillOld = 0
}

inline dropRenewal() {
	renewal = IDLE; renewalRuns = 0; renewalBefore = 0; renewalRead = 0
}

/* The lease of the subject, and what others make of its record. */
active proctype record() {
end:
	do
	:: d_step { !quiet && renewal == IDLE && !tombstone ->
		renewal = SENT; renewalRuns = 1; renewalBefore = !committed }
	:: d_step { renewal == SENT && tombstone -> dropRenewal() }
	:: d_step { renewal == SENT && !tombstone ->
#ifndef NO_TOMBSTONE
		decided = 0;             /* the record has changed: the taker's transaction would fail */
#endif
		renewal = WRITTEN; renewalRead = REVISION }
	:: d_step { renewal == WRITTEN && caughtUp ->
		assert(C1_ONLY || applied[SUBJECT] >= renewalRead); /* C2 */
		lease = 1; leaseBefore = renewalBefore;
		dropRenewal() }
	/* Time: first the older lease ends, then what the renewal would give. */
	:: d_step { !quiet && lease -> lease = 0; leaseBefore = 0 }
#ifdef FROM_ANSWER               /* broken: the lease counts from the answer */
	:: d_step { !quiet && renewalRuns && !lease -> renewalRuns = 0 }
#else                            /* a renewal that took that long gives nothing */
	:: d_step { !quiet && renewalRuns && !lease -> dropRenewal() }
#endif
	/* A taker waits, then writes. */
	:: d_step { !quiet && !decided && !gone && leaseIsOver -> decided = 1 }
	:: d_step { !quiet && decided && !gone ->
		decided = 0; gone = 1;
#ifndef NO_TOMBSTONE             /* broken: the record is neither compared nor ended */
		tombstone = 1;
#endif
		if                       /* leases of a tombstoned node are void */
		:: holder == SUBJECT + 1 -> freeKey()
		:: else
		fi }
	od
}

active [N] proctype node() {
#define me (_pid - 1)
end:
	do
	:: d_step { applied[me] < REVISION && (me != 1 || SUBJECT == 1) -> applied[me] = 2 }  /* watch */

	/* Somebody asks at node 2, which is never the subject. */
	:: d_step { !quiet && me == 2 && flight[me] == NONE -> flight[me] = JOINING; flightS[me] = applied[me] }

	/* The load begins when the lease arrives. */
	:: d_step { flight[me] == LEASED ->
		flight[me] = LOADING; flightV[me] = applied[me]; flightOld[me] = !committed }
	:: d_step { flight[me] == LOADING ->
#ifdef LATE_V                    /* broken: v is read at the end of the load */
		flightV[me] = applied[me];
#endif
		if
		:: holder == _pid -> fillV = flightV[me]; fillOld = flightOld[me]
		:: else
		fi;
		deliver(me, 1) }
	:: d_step { flight[me] == ANSWERED -> deliver(me, FILL_CHECKED) }
	/* A computing node is lost. */
	:: d_step { !quiet && me != SUBJECT && flight[me] == LOADING ->
		clearFlight(me); if :: holder == _pid -> freeKey() :: else fi }

	/* The owner receives Join once it has applied the s in it. */
	:: d_step { flight[me] == JOINING && applied[OWNER] >= flightS[me] && (lease || SUBJECT != OWNER) &&
		hit(OWNER, applied[OWNER]) ->
		flight[me] = ANSWERED; flightS[me] = 0; flightV[me] = keptV[OWNER]; flightOld[me] = keptOld[OWNER] }
	:: d_step { flight[me] == JOINING && applied[OWNER] >= flightS[me] && holder != 0 ->
		flight[me] = PARKED }
	:: d_step { flight[me] == JOINING && applied[OWNER] >= flightS[me] && (lease || SUBJECT != OWNER) &&
		!hit(OWNER, applied[OWNER]) && holder == 0 ->
		flight[me] = LEASED; flightS[me] = 0; holder = _pid }
	:: d_step { flight[me] == PARKED && holder == 0 -> flight[me] = JOINING }
	/* The owner receives Fill. */
	:: d_step { me == OWNER && fillV != 0 ->
		if
		:: untouched(fillV, applied[OWNER]) -> keptV[OWNER] = fillV; keptOld[OWNER] = fillOld
		:: else
		fi;
		deliverParked(0); deliverParked(1); deliverParked(2);
		freeKey() }
	od
}

active [GETS] proctype caller() {
#define c (_pid - 1 - N)
end:
	do
	:: d_step { get[c] == 0 && (c == 0 || get[0] != 0) -> get[c] = ARRIVED; after[c] = acked }
#ifdef EARLY_S                   /* broken: s is read before the lease is checked */
	:: d_step { get[c] == ARRIVED -> s[c] = applied[SUBJECT]; get[c] = CHECKED }
	:: d_step { get[c] == CHECKED && lease -> get[c] = READ }
	:: d_step { get[c] == CHECKED && !lease -> get[c] = DONE; s[c] = 0 }
#else
	:: d_step { get[c] == ARRIVED && lease -> get[c] = CHECKED }
	:: d_step { get[c] == ARRIVED && !lease -> get[c] = DONE }
	:: d_step { get[c] == CHECKED -> s[c] = applied[SUBJECT]; get[c] = READ }
#endif
	:: d_step { get[c] == READ ->
		if
		:: hit(SUBJECT, s[c]) -> answer(c, keptOld[SUBJECT])
		:: else ->
			get[c] = WAITING;
			if
			:: flight[SUBJECT] == NONE -> flight[SUBJECT] = JOINING; flightS[SUBJECT] = s[c]
			:: else
			fi
		fi }
	/* The owner is gone and this model has no other: the deadline, where it was asked. */
	:: d_step { get[c] == WAITING && tombstone && SUBJECT == OWNER -> get[c] = DONE; s[c] = 0 }
	od
}

active proctype world() {
end:
	do
	:: !committed -> committed = 1
	:: d_step { committed && !acked && mayAck -> acked = 1 }
	/* C5: whenever the faults end while the owner may grant, every caller is
	 * answered and the invalidation is acknowledged. */
	:: d_step { !quiet && committed && get[0] != 0 && get[1] != 0 && (lease || tombstone || SUBJECT != OWNER) -> quiet = 1 }
	:: timeout -> assert(get[0] == DONE && get[1] == DONE && acked)
	od
}
