/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Async commit of a primary and a secondary beside a snapshot read of both.
 * The transaction is committed the moment both locks are written, at the
 * larger of their least commit timestamps; whoever meets a lock finds that
 * out from the locks alone. The client may die between any two steps.
 *
 * Proven: both keys end alike and at one timestamp; what the client said
 * stays true; a reader sees both writes or neither; no lock is left.
 *
 * Seeded mistakes, each of which must be refuted:
 *   NO_MEMORY_LOCK    a prewrite hides between choosing its timestamp and
 *                     writing its lock
 *   LATE_MAX_TS       a reader looks for locks before it tells its timestamp
 *   IGNORE_MISSING    a missing secondary counts as prewritten
 *   PRIMARY_TS        the commit timestamp is the primary's alone
 *   NO_PROTECTION     a secondary found missing is not kept from coming later
 */
mtype = { FREE, LOCKED, COMMITTED, ROLLED };
mtype = { NOTHING, SAID_COMMITTED, SAID_ABORTED };

#define PRIMARY 0
#define SECONDARY 1
#define START_TS 1

mtype key[2] = FREE;
byte least[2];  /* of the lock: no commit below */
byte memory[2]; /* of the lock that is being written; 0: none */
byte at[2];     /* commit timestamp */
byte max_ts[2]; /* one store each */
byte now = START_TS;
mtype said = NOTHING;
byte said_at;
byte ended;

inline next_ts(ts)
{
    now++;
    ts = now
}

inline check_agreement()
{
    assert(!(key[PRIMARY] == COMMITTED && key[SECONDARY] == ROLLED));
    assert(!(key[PRIMARY] == ROLLED && key[SECONDARY] == COMMITTED));
    assert(key[PRIMARY] != COMMITTED || key[SECONDARY] != COMMITTED ||
           at[PRIMARY] == at[SECONDARY]);
    assert(said != SAID_COMMITTED ||
           (key[PRIMARY] != ROLLED && key[SECONDARY] != ROLLED))
}

inline do_commit(k, ts)
{
    if
    :: key[k] == LOCKED ->
        assert(said != SAID_ABORTED && ts >= least[k]);
        key[k] = COMMITTED;
        at[k] = ts
    :: key[k] == COMMITTED -> assert(at[k] == ts)
    :: key[k] == FREE || key[k] == ROLLED -> assert(false)
    fi;
    check_agreement()
}

inline do_rollback(k)
{
    if
    :: key[k] == FREE || key[k] == LOCKED -> key[k] = ROLLED
    :: key[k] == ROLLED -> skip
    :: key[k] == COMMITTED -> assert(false)
    fi;
    check_agreement()
}

/* ---- the client ---- */

/* Two steps: the lock is published in memory with its timestamp, which the
 * store's readers so far decide; then it is written. */
inline prewrite(k)
{
    atomic {
        chosen = (max_ts[k] + 1 > START_TS + 1 -> max_ts[k] + 1
                                               : START_TS + 1);
#ifndef NO_MEMORY_LOCK
        memory[k] = chosen
#endif
    };
    atomic {
        memory[k] = 0;
        if
        :: key[k] == FREE -> key[k] = LOCKED; least[k] = chosen
        :: key[k] != FREE -> refused = true
        fi
    }
}

active proctype client()
{
    bool refused;
    byte chosen;

    if
    :: prewrite(PRIMARY);
        if
        :: goto dead
        :: prewrite(SECONDARY)
        fi
    :: prewrite(SECONDARY);
        if
        :: goto dead
        :: prewrite(PRIMARY)
        fi
    fi;
    if
    :: goto dead
    :: refused ->
        atomic {
            said = SAID_ABORTED;
            assert(key[PRIMARY] != COMMITTED && key[SECONDARY] != COMMITTED)
        };
        goto dead
    :: !refused ->
        atomic {
            said_at = (least[PRIMARY] > least[SECONDARY]
                           -> least[PRIMARY] : least[SECONDARY]);
#ifdef PRIMARY_TS
            said_at = least[PRIMARY];
#endif
            said = SAID_COMMITTED
        }
    fi;
    if
    :: goto dead
    :: atomic { do_commit(PRIMARY, said_at) }
    fi;
    if
    :: goto dead
    :: atomic { do_commit(SECONDARY, said_at) }
    fi;
dead:
    ended++
}

/* ---- resolving ---- */

/* Asks the primary, then the secondary: each answer is old when it comes. A
 * missing lock is kept from coming by a rollback. */
inline resolve()
{
    ts = 0;
    verdict = LOCKED;
    atomic {
        if
        :: key[PRIMARY] == COMMITTED -> verdict = COMMITTED; ts = at[PRIMARY]
        :: key[PRIMARY] == ROLLED -> verdict = ROLLED
        :: key[PRIMARY] == FREE -> do_rollback(PRIMARY); verdict = ROLLED
        :: key[PRIMARY] == LOCKED -> ts = least[PRIMARY]
        fi
    };
    if
    :: verdict == LOCKED ->
        atomic {
            if
            :: key[SECONDARY] == COMMITTED ->
                verdict = COMMITTED;
                ts = at[SECONDARY]
            :: key[SECONDARY] == ROLLED -> verdict = ROLLED
            :: key[SECONDARY] == FREE ->
#ifdef IGNORE_MISSING
                verdict = COMMITTED
#else
#ifndef NO_PROTECTION
                do_rollback(SECONDARY);
#endif
                verdict = ROLLED
#endif
            :: key[SECONDARY] == LOCKED ->
                verdict = COMMITTED;
#ifndef PRIMARY_TS
                ts = (least[SECONDARY] > ts -> least[SECONDARY] : ts)
#endif
            fi
        }
    :: else -> skip
    fi;
    if
    :: verdict == COMMITTED ->
        atomic { do_commit(PRIMARY, ts) };
        atomic { do_commit(SECONDARY, ts) }
    :: verdict == ROLLED ->
        atomic { do_rollback(PRIMARY) };
        atomic { do_rollback(SECONDARY) }
    fi
}

/* ---- reading ---- */

/* seen: 1 the old value, 2 the new one. */
inline read(k, seen)
{
#ifndef LATE_MAX_TS
    atomic { max_ts[k] = (read_ts > max_ts[k] -> read_ts : max_ts[k]) };
#endif
    seen = 0;
    do
    :: seen != 0 -> break
    :: seen == 0 && memory[k] != 0 && memory[k] <= read_ts ->
        !(memory[k] != 0 && memory[k] <= read_ts)
    :: seen == 0 ->
        atomic {
            if
            :: memory[k] != 0 && memory[k] <= read_ts -> skip
            :: else ->
                if
                :: key[k] == COMMITTED && at[k] <= read_ts -> seen = 2
                :: key[k] == LOCKED && least[k] <= read_ts -> skip
                :: else -> seen = 1
                fi
            fi
        };
        if
        :: seen == 0 && key[k] == LOCKED -> resolve()
        :: else -> skip
        fi
    od;
#ifdef LATE_MAX_TS
    atomic { max_ts[k] = (read_ts > max_ts[k] -> read_ts : max_ts[k]) };
#endif
    skip
}

active proctype reader()
{
    byte read_ts;
    byte first;
    byte second;
    byte ts;
    mtype verdict;

    atomic { next_ts(read_ts) };
    if
    :: read(PRIMARY, first); read(SECONDARY, second)
    :: read(SECONDARY, second); read(PRIMARY, first)
    fi;
    assert(first == second);
    ended++
}

active proctype resolver()
{
    byte ts;
    mtype verdict;

    do
    :: key[PRIMARY] == LOCKED || key[SECONDARY] == LOCKED -> resolve()
    :: break
    od;
    ended++
}

active proctype last_reader()
{
    byte ts;
    mtype verdict;

    ended == 3;
    do
    :: key[PRIMARY] == LOCKED || key[SECONDARY] == LOCKED -> resolve()
    :: else -> break
    od;
    assert(said != SAID_COMMITTED ||
           (key[PRIMARY] == COMMITTED && at[PRIMARY] == said_at));
    assert((key[PRIMARY] == COMMITTED) == (key[SECONDARY] == COMMITTED))
}
