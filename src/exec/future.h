/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of tikv_future. One word carries the flags and the index of the
 * parker to ring:
 *
 *     HOT ----done, clean---------------------------------> READY -> TAKEN
 *      | \---cancel or deadline, taken back---------------> READY
 *      \-----done, trouble--> QUEUED --worker--> RUNNING --> READY
 *     (cache miss) ---------> QUEUED
 *
 * Whoever sets READY completes, exactly once; who that is is decided by the
 * slot table (in flight), the exec lock (queued, running) and never by a flag
 * of its own. References: operation 1, application 1, callback or queue 1.
 *
 * An operation embeds the future as its first member and gives it ops; blocks
 * of TK_FUTURE_BLOCK bytes are recycled per thread.
 */
#ifndef TK_EXEC_FUTURE_H
#define TK_EXEC_FUTURE_H

#include <stddef.h>

#include <tikv/future.h>

#include "base/regions.h"
#include "base/value.h"
#include "exec/exec.h"
#include "exec/op.h"

#define TK_FUTURE_READY UINT32_C(1)
#define TK_FUTURE_NOTIFY UINT32_C(2)
#define TK_FUTURE_CANCEL UINT32_C(4)
#define TK_FUTURE_TAKEN UINT32_C(8)
#define TK_FUTURE_MANY UINT32_C(16)    /* several waiters: ring everybody */
#define TK_FUTURE_CLAIMED UINT32_C(32) /* somebody is registering to be told */
#define TK_FUTURE_PARKER_SHIFT 8

/* The future of a point operation, with a key and a value of usual size. */
#define TK_FUTURE_BLOCK 1024

enum tk_future_kind {
    TK_KIND_ANY, /* only an error: every take gives it */
    TK_KIND_DONE,
    TK_KIND_VALUE,
    TK_KIND_PAIRS,
    TK_KIND_SWAP,
    TK_KIND_U64,
    TK_KIND_TTL,
    TK_KIND_CHECKSUM,
    TK_KIND_REGIONS
};

/* Only the members of the future's kind have a meaning. */
struct tk_outcome {
    tikv_value *value; /* VALUE; the previous one of SWAP */
    tikv_pairs *pairs;
    tikv_regions *regions;
    uint64_t number[3]; /* U64; TTL; CHECKSUM: crc, pairs, bytes */
    bool flag;          /* SWAP: swapped; TTL: found */
};

struct tk_future_ops {
    /* The plain function, on a worker, with an op whose deadline is the
     * future's. Fills future->outcome or returns the error. It is called
     * also when the op is stopped or late: only it can tell, by the outcome
     * of a hot attempt, whether CANCELLED is the truth or UNDETERMINED. */
    tikv_error *(*run)(struct tikv_future *, struct tk_op *);

    /* Hot futures: true when the attempt in flight was taken back; then the
     * error is what the future ends with (CANCELLED, or UNDETERMINED for a
     * write that may have left). NULL where nothing is ever in flight without
     * a worker. Called with no lock held. */
    bool (*take_back)(struct tikv_future *, tikv_error **error);

    /* Flushes what the future waits for; NULL: nothing to flush. */
    void (*flush)(struct tikv_future *);

    /* Frees what the operation added to the future (arguments, stored reply,
     * held references), never the outcome. */
    void (*fini)(struct tikv_future *);
};

/* What the completing thread touches comes first and is one line of cache:
 * each further one would travel to its core and back. */
struct tikv_future {
    _Atomic uint32_t word;
    _Atomic uint32_t refs;
    const struct tk_future_ops *ops;
    struct tk_exec *exec; /* counted; NULL in the immortal ones */
    tikv_error *error;
    uint8_t kind;      /* enum tk_future_kind; fixed */
    bool has_block;    /* recyclable memory */
    bool is_listening; /* `cancel` is linked; fixed before the first attempt */
    uint16_t used;     /* bytes of the block; a value may have the others */
    tikv_queue *queue; /* queue or fn: written before NOTIFY is set */
    struct tk_op *op;  /* guarded by the exec lock; set while RUNNING */
    struct tk_outcome outcome;

    struct tk_work work; /* pool queue */
    struct tk_cancel_link cancel;
    tikv_call call; /* own copy; pointers are the operation's */
    int64_t started;
    int64_t deadline; /* absolute; the op of a worker inherits it */
    tikv_future_fn *fn;
    void *arg; /* fn's, or the queue's tag */
    struct tikv_future *next; /* of the list of callbacks or of a queue, */
    struct tikv_future *prev; /* under its lock */
};

#define TK_CACHE_LINE 64

_Static_assert(offsetof(struct tikv_future, outcome.value) +
                       sizeof(tikv_value *) <=
                   TK_CACHE_LINE,
               "what completes a read is one line");

/* A thread whose blocks are out in such numbers hands out values that have
 * memory of their own: whoever keeps values for long does not keep a block
 * with each. */
#define TK_FUTURE_OUT_MAX 8192

/* Per thread, at most `count` blocks are kept for the next futures; the
 * calling thread frees what it has above. 256; debug builds begin with 0, so
 * that sanitizers see each free. */
void
tk_future_blocks_max(uint32_t count);

/* A future of `size` bytes, references 2 (operation, application), not yet
 * started; what the operation adds behind the struct is not zeroed. NULL
 * without memory: return tk_future_immortal() then. `call` may be NULL. */
struct tikv_future *
tk_future_new(struct tk_exec *exec, size_t size,
              const struct tk_future_ops *ops, enum tk_future_kind kind,
              const tikv_call *call, int64_t default_timeout_ns);

/* A value for future->outcome, before completion: in the block's free bytes
 * where there is room, so that nothing is allocated. Small ones are copied;
 * others alias `frame`, which is borrowed: the value takes a reference of its
 * own. Taken out, it keeps the block. NULL without memory. */
tikv_value *
tk_future_value(struct tikv_future *future, tikv_slice bytes,
                struct tk_frame *frame);

/* The outcome's value, handed out. */
tikv_value *
tk_future_give_value(struct tikv_future *future);

/* The outcome's value that nobody took; there is one. One inside has no
 * reference of the future: only its frame goes. */
void
tk_future_drop_value(struct tikv_future *future);

/* Ready for ever with TIKV_ERR_MEMORY; freeing it does nothing. */
struct tikv_future *
tk_future_immortal(void);

/* The same with TIKV_ERR_ARGUMENT: nobody to promise anything, because the
 * caller gave no client. */
struct tikv_future *
tk_future_orphan(void);

/* A future that is ready with `error`. */
struct tikv_future *
tk_future_refused(struct tk_exec *exec, tikv_error *error);

/* Hands the future to a worker; completes it with OVERLOAD or CLOSED when the
 * pool refuses. `must` as in tk_exec_push(). No lock held. */
void
tk_future_start(struct tikv_future *future, bool must);

/* Links the future's own cancel switch; call before the first attempt. */
void
tk_future_listen(struct tikv_future *future);

/* Tells the callback or the queue. False: no thread is left to call it. */
bool
tk_future_dispatch(struct tikv_future *future, struct tk_wakes *wakes);

/* Exactly once, any thread, no lock held: takes `error` (NULL: the outcome is
 * filled), publishes, rings, dispatches, drops the operation's reference. */
void
tk_future_complete(struct tikv_future *future, tikv_error *error,
                   struct tk_wakes *wakes);

void
tk_future_ref(struct tikv_future *future);

void
tk_future_unref(struct tikv_future *future);

/* tikv_future_cancel() without the public face. No lock held. */
void
tk_future_cancel(struct tikv_future *future);

/* Flushes what the future waits for, unless it is ready or its client is
 * closing. */
void
tk_future_flush(struct tikv_future *future);

#endif
