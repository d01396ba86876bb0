/*
 * Who computes: one owner per key, and a flight that outlives its owner. Three
 * nodes, one key in one partition; nodes 0 and 1 own it in turn, node 2 never
 * does. docs/model.md says which step here is which in the code, and what is
 * left out; values and invalidations are value.pml's.
 *
 * Every step of a node is one event of the core: it is atomic, and between two
 * of them any time may pass. Messages are ordered between two nodes; a reset
 * of their stream loses what is on its way in both directions, so that nothing
 * of an older stream can arrive. There is one caller at each node, and a
 * budget of FAULTS among: a crash, a lease that ends, a stream that is reset, a
 * recovery that does not wait for a node, a flight whose lease is void, an
 * answer of etcd that is lost. Moves that are planned cost nothing; the table
 * is written MAXGEN - 1 times.
 *
 * Time. `leased` is the lease of a node: while it runs nobody takes over from
 * it. A flight's lease is void at its holder (`isVoid`) before it is at the
 * owner, because the holder counts from the sending of what was acknowledged.
 *
 * O2 to O5 are assertions where a lease is granted and where a load begins. C5
 * is asserted where nothing more can happen. Each -D switch breaks one rule,
 * and must be found.
 */

#define N 3
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef MAXGEN
#define MAXGEN 3
#endif
#define FLIGHTS 5
#define ANY 7                    /* a wait that names no flight */
#ifndef CALLERS
#define CALLERS 6                /* nodes 1 and 2 */
#endif
#define bitOf(n) (1 << (n))
#define other(n) (1 - (n))

mtype = { Join, Lease, Parked, Value, Wrong, Fill, FillAck, ValueAck, Recover, Rejoin, Abandon, Void };

/* From node i to node j: q[3i + j]. Kind, gen, flight, state, wait. */
chan q[9] = [6] of { mtype, byte, byte, byte, byte };

/* etcd. The owner of a gen is 0 for odd ones and 1 for even ones. */
byte gen = 1;
bit tombstone[N];
byte write;                      /* 1 + the owner whose write, which gives the partition away, is on its way */
byte decided;                    /* 1 + the node whose lease a taker has seen end */
#define ownerOf(g) (1 - ((g) & 1))
byte faults = FAULTS;

/* Nodes. */
bit dead[N];
bit unleased[N];                 /* the node's lease has run out; node 2's never does */
byte known[N] = 1;               /* the gen that the node knows */
byte state[N];
#define NONE 0
#define RECOVERING 1
#define ACTIVE 2
#define CLOSED 3

/* The caller at a node. */
byte call[N];
byte named[N];                   /* the flight for which it is parked */
#define IDLE 0
#define WAITING 1
#define LEADING 2
#define DONE 3

/* The flight that a node holds. */
byte flight[N];
byte held[N];
#define COMPUTING 1
#define OUTCOME 2                /* kept until it is acknowledged */
#define OPENING 4                /* in a Rejoin: it is the first message of a stream */

/* The owner's record of the key. */
byte lease[N];                   /* the flight that has the lease */
byte parked[N];                  /* nodes that wait */
byte reserved[N];                /* the flight that a parked caller named, whose holder has not answered */
byte missing[N];                 /* nodes whose END has not come */
byte unopened[N];                /* nodes whose stream is new and whose Rejoin has not come */
bit kept[N];
byte outcome[N];                 /* the flight whose outcome is handed out */
byte unacked[N];                 /* nodes that have not acknowledged it */

/* Flights, numbered as they are granted. */
byte flights;
byte holderOf[FLIGHTS];
bit isVoid[FLIGHTS];
bit began[FLIGHTS];              /* its lease arrived and was taken */
byte cutGen[N];                  /* the gen at which recovery went on without this node */

#define send(i, j, kind, g, f, st, w) if :: !dead[j] -> q[3 * (i) + (j)]!kind, g, f, st, w :: dead[j] fi
#define waitOf(n) (call[n] != WAITING -> 0 : (named[n] -> named[n] : ANY))

#ifdef OMITTED                   /* broken: Rejoin omits the lease */
#define lists(n) (held[n] == OUTCOME)
#else
#define lists(n) (held[n] != 0 && !isVoid[flight[n]])
#endif

#ifdef GRANT_RECOVERING          /* broken: a lease is granted while RECOVERING */
#define mayGrant(n) (state[n] == ACTIVE || state[n] == RECOVERING)
#else
#define mayGrant(n) (state[n] == ACTIVE)
#endif

#ifdef OLD_GEN                   /* broken: the lease of an older gen is accepted */
#define acceptGen(n, g) 1
#else
#define acceptGen(n, g) ((g) >= known[n])
#endif

inline sendAll(n, mask, kind, f) {
	if :: (mask) & 1 -> send(n, 0, kind, known[n], f, 0, 0) :: else fi;
	if :: (mask) & 2 -> send(n, 1, kind, known[n], f, 0, 0) :: else fi;
	if :: (mask) & 4 -> send(n, 2, kind, known[n], f, 0, 0) :: else fi
}

#define alive (7 - tombstone[0] - 2 * tombstone[1] - 4 * tombstone[2])

inline forget(n) {
	lease[n] = 0; parked[n] = 0; reserved[n] = 0; missing[n] = 0; unopened[n] = 0;
	kept[n] = 0; outcome[n] = 0; unacked[n] = 0
}

/* The owner n has no value and nobody's lease, or tells m for whom it waits. */
inline park(n, m, w) {
	if
	:: kept[n] && outcome[n] != 0 && n != m ->
		unacked[n] = unacked[n] | bitOf(m); send(n, m, Value, known[n], outcome[n], 0, 0)
	:: kept[n] && !(outcome[n] != 0 && n != m) -> send(n, m, Value, known[n], 0, 0, 0)
	:: else ->
		parked[n] = parked[n] | bitOf(m);
		if
		:: lease[n] != 0 -> send(n, m, Parked, known[n], lease[n], 0, 0)
		:: lease[n] == 0 && w != 0 && w != ANY && (missing[n] & bitOf(holderOf[w])) && !tombstone[holderOf[w]] ->
			reserved[n] = w
		:: else
		fi
	fi
}

/* The node learns of a newer gen: it stops being the owner, or becomes it. */
inline learn(n, newer) {
	known[n] = newer;
	if
	:: state[n] != NONE -> sendAll(n, parked[n], Wrong, 0); state[n] = NONE; forget(n)
	:: else
	fi;
	if
	:: ownerOf(known[n]) == n -> state[n] = RECOVERING; missing[n] = alive & ~bitOf(n);
		sendAll(n, missing[n], Recover, 0);
		if :: lists(n) && held[n] == COMPUTING -> lease[n] = flight[n] :: else fi;
		if
		:: lists(n) && held[n] == OUTCOME -> kept[n] = 1; outcome[n] = flight[n]
		:: else
		fi;
		if
		:: call[n] == WAITING -> park(n, n, named[n])
		:: else
		fi
	:: else
	fi
}

/* What the owner must know of this node. */
inline tell(n) {
	if
	:: call[n] == WAITING && known[n] != 0 -> send(n, ownerOf(known[n]), Join, known[n], 0, 0, waitOf(n))
	:: else
	fi;
	if
	:: held[n] == OUTCOME -> send(n, ownerOf(known[n]), Fill, known[n], flight[n], 0, 0)
	:: else
	fi
}

inline rejoin(n, to, opening) {
	if
	:: lists(n) -> send(n, to, Rejoin, known[n], flight[n], (held[n] | (opening)), waitOf(n))
	:: else -> send(n, to, Rejoin, known[n], 0, (opening), waitOf(n))
	fi
}

inline acknowledged(n) {
	if
#ifdef ACK_RECOVERING            /* broken: who waits for it is not known before the last END */
	:: outcome[n] != 0 && unacked[n] == 0 ->
#else
	:: outcome[n] != 0 && unacked[n] == 0 && state[n] != RECOVERING ->
#endif
		send(n, holderOf[outcome[n]], FillAck, known[n], outcome[n], 0, 0); outcome[n] = 0
	:: else
	fi
}

inline handOut(n, m, f) {
	if
	:: lease[n] != 0 && lease[n] != f -> send(n, m, FillAck, known[n], f, 0, 0)
	:: !(lease[n] != 0 && lease[n] != f) && kept[n] ->
		lease[n] = 0;
		if :: outcome[n] != f -> send(n, m, FillAck, known[n], f, 0, 0) :: else fi
	:: else ->
		lease[n] = 0; reserved[n] = 0; kept[n] = 1; outcome[n] = f;
		unacked[n] = parked[n] & ~bitOf(m);
		sendAll(n, (unacked[n] & ~unopened[n]), Value, f);
		parked[n] = 0;
		acknowledged(n)
	fi
}

inline adopt(n, m, f) {
	if
	:: lease[n] == 0 -> lease[n] = f; reserved[n] = 0; sendAll(n, (parked[n] & ~unopened[n]), Parked, f)
	:: lease[n] == f
	:: lease[n] != 0 && lease[n] < f && state[n] == RECOVERING ->
		send(n, holderOf[lease[n]], Void, known[n], lease[n], 0, 0);
		lease[n] = f; sendAll(n, (parked[n] & ~unopened[n]), Parked, f)
	:: else -> send(n, m, Void, known[n], f, 0, 0)
	fi
}

inline rejoined(n, m, f, st, w) {
	missing[n] = missing[n] & ~bitOf(m);
	unopened[n] = unopened[n] & ~bitOf(m);
	if
	:: st & OPENING ->
		/* What this stream's end has lost is not with the node. */
		parked[n] = parked[n] & ~bitOf(m);
		if
		:: lease[n] != 0 && holderOf[lease[n]] == m && lease[n] != f -> isVoid[lease[n]] = 1; lease[n] = 0
		:: else
		fi;
		if
		:: w == 0 -> unacked[n] = unacked[n] & ~bitOf(m); acknowledged(n)
		:: else
		fi
	:: else
	fi;
	if
	:: (st & 3) == COMPUTING -> adopt(n, m, f)
	:: (st & 3) == OUTCOME -> handOut(n, m, f)
	:: else
	fi;
	if
	:: reserved[n] != 0 && holderOf[reserved[n]] == m -> reserved[n] = 0
	:: else
	fi;
	if
	:: w != 0 && outcome[n] != 0 && (unacked[n] & bitOf(m)) -> send(n, m, Value, known[n], outcome[n], 0, 0)
	:: w != 0 && !(outcome[n] != 0 && (unacked[n] & bitOf(m))) -> park(n, m, w)
	:: else
	fi
}

/* O4, O5: no load begins beside one that lives, nor for a caller whom a flight
 * that lives, or has ended well, was to answer. */
#define apart(n, h) ((n) == (h) || dead[h] || tombstone[h] || held[h] != COMPUTING || isVoid[flight[h]] || \
	(cutGen[h] == known[n] && named[n] != flight[h]) || cutGen[n] > known[n])
#define orphan(n) (named[n] == 0 || !began[named[n]] || isVoid[named[n]] || dead[holderOf[named[n]]] || tombstone[holderOf[named[n]]])

inline begin(n, f) {
	assert(tombstone[n] || (apart(n, 0) && apart(n, 1) && apart(n, 2)));
	assert(tombstone[n] || orphan(n));
	flight[n] = f; began[f] = 1; held[n] = COMPUTING; call[n] = LEADING; named[n] = 0
}

inline receive(n, m) {
	q[3 * m + n]?kind, g, f, st, w;
	if
	:: kind == Join ->
		if
		:: g == known[n] -> park(n, m, w)
		:: g < known[n] -> send(n, m, Wrong, known[n], 0, 0, 0)
		:: else                  /* the sender knows more: this node's Recover will ask it */
		fi
	:: kind == Lease ->
		if
		:: !acceptGen(n, g) -> isVoid[f] = 1
		:: acceptGen(n, g) && call[n] == WAITING && held[n] == 0 -> begin(n, f)
		:: else -> isVoid[f] = 1; send(n, m, Abandon, g, f, 0, 0)
		fi
	:: kind == Parked ->
		if :: g == known[n] && call[n] == WAITING -> named[n] = f :: else fi
	:: kind == Value ->
		if
		:: g >= known[n] ->
			if :: call[n] == WAITING -> call[n] = DONE; named[n] = 0 :: else fi;
			if :: f != 0 -> send(n, m, ValueAck, g, f, 0, 0) :: else fi
		:: else
		fi
	:: kind == Wrong -> if :: g > known[n] -> learn(n, g); if :: state[n] == NONE -> tell(n) :: else fi :: else fi
	:: kind == Fill ->
		if
		:: g == known[n] -> handOut(n, m, f)
		:: g < known[n] -> send(n, m, Wrong, known[n], 0, 0, 0)
		:: else
		fi
	:: kind == FillAck ->
		if :: flight[n] == f && held[n] == OUTCOME -> flight[n] = 0; held[n] = 0 :: else fi
	:: kind == ValueAck ->
		if :: outcome[n] == f && f != 0 -> unacked[n] = unacked[n] & ~bitOf(m); acknowledged(n) :: else fi
	:: kind == Recover ->
		if
		:: g >= known[n] ->
			if :: g > known[n] -> learn(n, g) :: else fi;
			rejoin(n, m, 0)
		:: else
		fi
	:: kind == Rejoin ->
		if
		:: g == known[n] -> rejoined(n, m, f, st, w)
		:: g < known[n] ->
#ifdef STALE_END                 /* broken: the END of an earlier recovery counts */
			missing[n] = missing[n] & ~bitOf(m);
#endif
			send(n, m, Wrong, known[n], 0, 0, 0)
		:: else
		fi
	:: kind == Abandon ->
		if :: g == known[n] && lease[n] == f -> lease[n] = 0 :: else fi
	:: kind == Void ->
		if
		:: flight[n] == f && held[n] == COMPUTING -> isVoid[f] = 1
		:: flight[n] == f && held[n] == OUTCOME -> flight[n] = 0; held[n] = 0
		:: else
		fi
	fi;
	kind = 0; g = 0; f = 0; st = 0; w = 0
}

inline drain(c) {
	do :: nempty(c) -> c?kind, g, f, st, w :: empty(c) -> break od;
	kind = 0; g = 0; f = 0; st = 0; w = 0
}

#define granting(n) (mayGrant(n) && !unleased[n] && !kept[n] && lease[n] == 0 && reserved[n] == 0)

inline grant(n, m) {
	assert(!(mayGrant(other(n)) && state[other(n)] == ACTIVE && !unleased[other(n)] && !dead[other(n)])); /* O3 */
	assert(write != n + 1);      /* O2 */
	flights++;
	assert(flights < FLIGHTS);
	holderOf[flights] = m; lease[n] = flights;
	parked[n] = parked[n] & ~bitOf(m);
	send(n, m, Lease, known[n], flights, 0, 0);
	sendAll(n, (parked[n] & ~unopened[n]), Parked, flights)
}

proctype node() {
	mtype kind; byte g; byte f; byte st; byte w;
#define me (_pid - 1)
end:
	do
	:: d_step { !dead[me] && nempty(q[me]) -> receive(me, 0) }
	:: d_step { !dead[me] && nempty(q[3 + me]) -> receive(me, 1) }
	:: d_step { !dead[me] && nempty(q[6 + me]) -> receive(me, 2) }

	/* The watch. */
	:: d_step { !dead[me] && known[me] < gen ->
		learn(me, known[me] + 1); if :: state[me] == NONE -> tell(me) :: else fi }

	/* The caller, and the load. */
	:: d_step { !dead[me] && call[me] == IDLE && (CALLERS & bitOf(me)) -> call[me] = WAITING; tell(me) }
	:: d_step { !dead[me] && tombstone[me] && call[me] == WAITING -> call[me] = DONE; named[me] = 0 }
	:: d_step { !dead[me] && held[me] == COMPUTING ->
		call[me] = DONE;
		if
		:: isVoid[flight[me]] -> flight[me] = 0; held[me] = 0
		:: else ->
			send(me, ownerOf(known[me]), Fill, known[me], flight[me], 0, 0);
#ifdef FILL_FORGOTTEN            /* broken: the outcome is forgotten before it is acknowledged */
			flight[me] = 0; held[me] = 0
#else
			held[me] = OUTCOME
#endif
		fi }

	/* The owner. */
	:: d_step { !dead[me] && state[me] == RECOVERING && (missing[me] & alive) == 0 ->
		state[me] = ACTIVE; acknowledged(me) }
	:: d_step { !dead[me] && state[me] == RECOVERING && (missing[me] & alive) != 0 && faults > 0 ->
		faults--; state[me] = ACTIVE; acknowledged(me);
		if :: missing[me] & 1 -> cutGen[0] = known[me] :: else fi;
		if :: missing[me] & 2 -> cutGen[1] = known[me] :: else fi;
		if :: missing[me] & 4 -> cutGen[2] = known[me] :: else fi }
	:: d_step { !dead[me] && granting(me) && (parked[me] & ~unopened[me] & 1) -> grant(me, 0) }
	:: d_step { !dead[me] && granting(me) && (parked[me] & ~unopened[me] & 2) -> grant(me, 1) }
	:: d_step { !dead[me] && granting(me) && (parked[me] & ~unopened[me] & 4) -> grant(me, 2) }
	/* A lease that is void, or that a node had which is no more, is free again. */
	:: d_step { !dead[me] && lease[me] != 0 && (isVoid[lease[me]] || tombstone[holderOf[lease[me]]]) -> lease[me] = 0 }
	:: d_step { !dead[me] && reserved[me] != 0 && (isVoid[reserved[me]] || tombstone[holderOf[reserved[me]]]) ->
		reserved[me] = 0 }
	:: d_step { !dead[me] && ((parked[me] | unacked[me]) & ~alive) != 0 ->
		parked[me] = parked[me] & alive; unacked[me] = unacked[me] & alive; acknowledged(me) }

	/* It gives the partition away: CLOSED, then the write. */
	:: d_step { !dead[me] && state[me] == ACTIVE && !unleased[me] && gen < MAXGEN && known[me] == gen && write == 0 &&
		!dead[other(me)] && !tombstone[other(me)] -> state[me] = CLOSED; write = me + 1 }
	/* The answer was lost, and the table read is the old one. The renewal that
	 * read it has changed the node's record, which the write requires: the
	 * write can no longer succeed. */
	:: d_step { !dead[me] && state[me] == CLOSED && known[me] == gen && !tombstone[me] && faults > 0 ->
		faults--; state[me] = ACTIVE;
#ifndef READ_ONLY                /* broken: the table is only read, and the write is still on its way */
		write = 0
#endif
		}

	/* The node's lease. */
	:: d_step { me != 2 && !dead[me] && !unleased[me] && faults > 0 -> faults--; unleased[me] = 1 }
	:: d_step { me != 2 && !dead[me] && unleased[me] && !tombstone[me] && known[me] == gen -> unleased[me] = 0 }

	/* A flight's lease runs out at its holder; a crash. */
	:: d_step { !dead[me] && held[me] == COMPUTING && !isVoid[flight[me]] && faults > 0 ->
		faults--; isVoid[flight[me]] = 1 }
	:: d_step { !dead[me] && faults > 0 ->
		faults--; dead[me] = 1; unleased[me] = 1;
		if :: held[me] != 0 -> isVoid[flight[me]] = 1 :: else fi;
		flight[me] = 0; held[me] = 0; call[me] = DONE; named[me] = 0;
		state[me] = NONE; forget(me);
		drain(q[me]);
		drain(q[3 + me]);
		drain(q[6 + me]) }
	od
}

/* One end of a stream that opens: Rejoin to the owner, and Recover again. */
inline opened(n, m) {
	if
	:: state[n] != NONE ->
		unopened[n] = unopened[n] | bitOf(m);
		if :: missing[n] & bitOf(m) -> send(n, m, Recover, known[n], 0, 0, 0) :: else fi
	:: else
	fi;
	if
	:: known[n] != 0 && ownerOf(known[n]) == m -> rejoin(n, m, OPENING)
	:: else
	fi
}

inline reset(i, j) {
	drain(q[3 * i + j]);
	drain(q[3 * j + i]);
	faults--;
	opened(i, j); opened(j, i)
}

proctype world() {
	mtype kind; byte g; byte f; byte st; byte w;
end:
	do
	/* The write arrives at etcd. */
	:: d_step { write != 0 -> if :: ownerOf(gen) == write - 1 && !tombstone[write - 1] -> gen++ :: else fi; write = 0 }
	/* A taker. */
#ifdef NO_TOMBSTONE              /* broken: the owner's record is neither compared nor ended */
	:: d_step { decided == 0 && unleased[ownerOf(gen)] -> decided = 1 + ownerOf(gen) }
	:: d_step { decided == 1 + ownerOf(gen) && gen < MAXGEN -> gen++; decided = 0 }
#else
	:: d_step {
#ifdef TAKER_EARLY               /* broken: the taker does not wait until the lease is over */
		gen < MAXGEN &&
#else
		gen < MAXGEN && unleased[ownerOf(gen)] &&
#endif
		!tombstone[ownerOf(gen)] && !dead[1 - ownerOf(gen)] && !tombstone[1 - ownerOf(gen)] ->
		tombstone[ownerOf(gen)] = 1; gen++ }
	:: d_step { dead[0] && ownerOf(gen) != 0 && !tombstone[0] -> tombstone[0] = 1 }
	:: d_step { dead[1] && ownerOf(gen) != 1 && !tombstone[1] -> tombstone[1] = 1 }
	:: d_step { dead[2] && !tombstone[2] -> tombstone[2] = 1 }
#endif
	:: d_step { faults > 0 && !dead[0] && !dead[1] -> reset(0, 1) }
	:: d_step { faults > 0 && !dead[0] && !dead[2] -> reset(0, 2) }
	:: d_step { faults > 0 && !dead[1] && !dead[2] -> reset(1, 2) }
	/* C5. */
#ifndef NO_TOMBSTONE
	:: timeout ->
		assert(dead[ownerOf(gen)] || tombstone[ownerOf(gen)] ||
			((call[0] == DONE || !(CALLERS & 1)) && (call[1] == DONE || !(CALLERS & 2)) && call[2] == DONE && held[0] == 0 && held[1] == 0 && held[2] == 0))
#endif
	od
}

init {
	atomic { d_step {
#ifdef START_ACTIVE
		known[0] = 1; state[0] = ACTIVE;
#ifdef LATE_END                  /* recovery went on without node 2, whose answer is still on its way */
		missing[0] = 4; cutGen[2] = 1; q[6]!Rejoin, 1, 0, 0, 0
#endif
#else
		learn(0, 1)
#endif
		}; run node(); run node(); run node(); run world() }
}
