/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two-phase commit of a primary and a secondary key. The client may die
 * between any two steps, each request may be lost before it is executed or
 * after, a request that was sent may be executed again at any later time, and
 * two readers resolve whatever locks they meet.
 *
 * Proven: both keys end alike; what the client said stays true; a doubt is
 * decided rightly by asking for the primary; no lock is left.
 *
 * Seeded mistakes, each of which must be refuted:
 *   DOUBT_IS_FAILURE   a commit without an answer is called aborted
 *   NO_ROLLBACK_RECORD rolling back a key without lock leaves no trace
 *   SECONDARY_FIRST    the secondary is committed before the primary
 *   RESOLVE_UNASKED    a reader rolls back without looking at the primary
 */
mtype = { FREE, LOCKED, COMMITTED, ROLLED };
mtype = { NOTHING, SAID_COMMITTED, SAID_ABORTED, SAID_UNKNOWN };

#define PRIMARY 0
#define SECONDARY 1
#define ATTEMPTS 2 /* of each request, by the client */
#define GHOSTS 2   /* requests that the network delivers once more */

mtype key[2] = FREE;
mtype said = NOTHING;
bool sent_prewrite[2];
bool sent_commit[2];
byte ended; /* processes */

/* ---- what a store does, each atomic ---- */

inline check_agreement()
{
    assert(!(key[PRIMARY] == COMMITTED && key[SECONDARY] == ROLLED));
    assert(!(key[PRIMARY] == ROLLED && key[SECONDARY] == COMMITTED))
}

inline do_prewrite(k, ok)
{
    if
    :: key[k] == FREE -> key[k] = LOCKED; ok = true
    :: key[k] == LOCKED || key[k] == COMMITTED -> ok = true
    :: key[k] == ROLLED -> ok = false
    fi
}

inline do_commit(k, ok)
{
    if
    :: key[k] == LOCKED ->
        assert(!(k == PRIMARY && said == SAID_ABORTED));
        key[k] = COMMITTED;
        ok = true
    :: key[k] == COMMITTED -> ok = true
    :: key[k] == FREE || key[k] == ROLLED -> ok = false
    fi;
    check_agreement()
}

inline do_rollback(k)
{
    if
    :: key[k] == LOCKED -> key[k] = ROLLED
    :: key[k] == FREE ->
#ifndef NO_ROLLBACK_RECORD
        key[k] = ROLLED
#else
        skip
#endif
    :: key[k] == COMMITTED || key[k] == ROLLED -> skip
    fi;
    check_agreement()
}

/* The status of the transaction by its primary. LOCKED: alive, ask again. A
 * lock may have expired, whatever its owner thinks. */
inline do_check_status(status)
{
    if
    :: key[PRIMARY] == COMMITTED -> status = COMMITTED
    :: key[PRIMARY] == LOCKED -> status = LOCKED
    :: key[PRIMARY] != COMMITTED -> do_rollback(PRIMARY); status = ROLLED
    fi
}

/* ---- the client ---- */

/* answered: 0 lost, 1 yes, 2 refused. */
inline prewrite(k, answered)
{
    atomic {
        sent_prewrite[k] = true;
        if
        :: answered = 0
        :: do_prewrite(k, ok) ->
            if
            :: answered = 0
            :: answered = (ok -> 1 : 2)
            fi
        fi
    }
}

inline commit(k, answered)
{
    atomic {
        sent_commit[k] = true;
        if
        :: answered = 0
        :: do_commit(k, ok) ->
            if
            :: answered = 0
            :: answered = (ok -> 1 : 2)
            fi
        fi
    }
}

inline say(what)
{
    atomic {
        said = what;
        assert(!(said == SAID_ABORTED && key[PRIMARY] == COMMITTED));
        assert(!(said == SAID_COMMITTED && key[PRIMARY] != COMMITTED))
    }
}

active proctype client()
{
    bool ok;
    byte answered;
    byte tries;
    byte prewritten = 0;
    byte k;
    mtype status;

    /* They go out side by side: either may be the first to arrive. */
    if
    :: k = PRIMARY
    :: k = SECONDARY
    fi;
    do
    :: prewritten < 2 ->
        tries = 0;
        answered = 0;
        do
        :: answered == 0 && tries < ATTEMPTS ->
            prewrite(k, answered);
            tries++
        :: goto dead
        :: answered != 0 || tries == ATTEMPTS -> break
        od;
        if
        :: answered != 1 -> goto abort
        :: else -> k = 1 - k; prewritten++
        fi
    :: prewritten == 2 -> break
    od;

#ifdef SECONDARY_FIRST
    commit(SECONDARY, answered);
#endif
    tries = 0;
    answered = 0;
    do
    :: answered == 0 && tries < ATTEMPTS ->
        commit(PRIMARY, answered);
        tries++
    :: goto dead
    :: answered != 0 || tries == ATTEMPTS -> break
    od;
    if
    :: answered == 1 -> say(SAID_COMMITTED)
    :: answered == 2 -> say(SAID_ABORTED); goto cleanup
    :: answered == 0 ->
#ifdef DOUBT_IS_FAILURE
        say(SAID_ABORTED);
#else
        say(SAID_UNKNOWN);
#endif
        /* tikv_txn_outcome() */
        do
        :: goto dead
        :: d_step { do_check_status(status) } ->
            if
            :: status == COMMITTED -> say(SAID_COMMITTED); break
            :: status == ROLLED -> say(SAID_ABORTED); break
            :: else -> skip
            fi
        od
    fi;
    if
    :: said == SAID_COMMITTED -> commit(SECONDARY, answered)
    :: else -> skip
    fi;
    goto dead;

abort:
    say(SAID_ABORTED);
cleanup:
    if
    :: atomic { do_rollback(PRIMARY) }
    :: skip
    fi;
    if
    :: atomic { do_rollback(SECONDARY) }
    :: skip
    fi;
dead:
    ended++
}

/* ---- the others ---- */

/* A late copy of a request that was sent. */
active proctype network()
{
    bool ok;
    byte left = GHOSTS;

    do
    :: left == 0 -> break
    :: left > 0 && sent_prewrite[PRIMARY] ->
        atomic { do_prewrite(PRIMARY, ok); left-- }
    :: left > 0 && sent_prewrite[SECONDARY] ->
        atomic { do_prewrite(SECONDARY, ok); left-- }
    :: left > 0 && sent_commit[PRIMARY] ->
        atomic { do_commit(PRIMARY, ok); left-- }
    :: left > 0 && sent_commit[SECONDARY] ->
        atomic { do_commit(SECONDARY, ok); left-- }
    :: left > 0 -> left--
    od;
    ended++
}

inline resolve(k)
{
#ifdef RESOLVE_UNASKED
    status = ROLLED;
#else
    atomic { do_check_status(status) };
#endif
    if
    :: status == COMMITTED -> atomic { do_commit(k, ok) }
    :: status == ROLLED -> atomic { do_rollback(k) }
    :: status == LOCKED -> skip
    fi
}

active [2] proctype reader()
{
    mtype status;
    bool ok;

    do
    :: key[PRIMARY] == LOCKED -> resolve(PRIMARY)
    :: key[SECONDARY] == LOCKED -> resolve(SECONDARY)
    :: break
    od;
    ended++
}

/* When all is quiet whoever comes next finds no riddle. */
active proctype last_reader()
{
    mtype status;
    bool ok;

    ended == 4;
    do
    :: key[PRIMARY] == LOCKED -> resolve(PRIMARY)
    :: key[SECONDARY] == LOCKED -> resolve(SECONDARY)
    :: else -> break
    od;
    assert(key[PRIMARY] != LOCKED && key[SECONDARY] != LOCKED);
    assert(said != SAID_COMMITTED || key[PRIMARY] == COMMITTED);
    assert(said != SAID_ABORTED || key[PRIMARY] != COMMITTED);
    assert((key[PRIMARY] == COMMITTED) == (key[SECONDARY] == COMMITTED))
}
