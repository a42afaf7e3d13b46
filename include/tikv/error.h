/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_ERROR_H
#define TIKV_ERROR_H

/**
 * An error is an object: a code, a sentence, a class that tells what may be
 * done about it, and the facts behind it. NULL is success and every reader
 * takes NULL and reads it as success. No thread-local state: an error can
 * cross threads and languages. The receiver frees it.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

/* A number, once published, keeps its meaning. Expect unknown ones. */
typedef int32_t tikv_code;
enum {
    TIKV_OK = 0,

    /* 1xx: the call was not right; nothing was changed. */
    TIKV_ERR_ARGUMENT = 100,
    TIKV_ERR_STATE = 101,
    TIKV_ERR_NOT_READY = 102,
    TIKV_ERR_TAKEN = 103,
    TIKV_ERR_KIND = 104,
    TIKV_ERR_UNSUPPORTED = 105,

    /* 2xx: this process gave up. */
    TIKV_ERR_MEMORY = 200,
    TIKV_ERR_CANCELLED = 201,
    TIKV_ERR_TIMEOUT = 202,
    TIKV_ERR_CLOSED = 203,
    TIKV_ERR_FORKED = 204,
    TIKV_ERR_OVERLOAD = 205,

    /* 3xx: the cluster could not serve the call. */
    TIKV_ERR_UNAVAILABLE = 300,
    TIKV_ERR_SECURITY = 301,
    TIKV_ERR_PROTOCOL = 302,
    TIKV_ERR_SERVER = 303,
    TIKV_ERR_CLUSTER_MISMATCH = 304,
    TIKV_ERR_SERVER_BUSY = 305,
    TIKV_ERR_DISK_FULL = 306,
    TIKV_ERR_THROTTLED = 307,
    TIKV_ERR_REGION = 308,
    TIKV_ERR_PD = 309,

    /* 4xx: the data said no. */
    TIKV_ERR_WRITE_CONFLICT = 400,
    TIKV_ERR_KEY_EXISTS = 401,
    TIKV_ERR_DEADLOCK = 402,
    TIKV_ERR_LOCK_WAIT = 403,
    TIKV_ERR_ABORTED = 404,
    TIKV_ERR_TOO_LARGE = 405,
    TIKV_ERR_TOO_OLD = 406,
    TIKV_ERR_UNDETERMINED = 407,
    TIKV_ERR_NO_WAIT = 408,
    TIKV_ERR_ASSERTION = 409,

    /* Never made by the library: for callbacks that want to stop. */
    TIKV_ERR_USER = 500
};

/* What a caller can do about it. */
typedef int32_t tikv_class;
enum {
    TIKV_CLASS_NONE = 0,         /* success */
    TIKV_CLASS_RETRY_CALL = 1,   /* the same call may succeed later */
    TIKV_CLASS_RETRY_TXN = 2,    /* the whole transaction may */
    TIKV_CLASS_PERMANENT = 3,    /* not without changing something */
    TIKV_CLASS_UNDETERMINED = 4, /* look before doing it again */
    TIKV_CLASS_CANCELLED = 5,    /* somebody asked for the end */
    TIKV_CLASS_TIMEOUT = 6       /* the deadline came first */
};

TIKV_API tikv_code
tikv_error_code(const tikv_error *error);

TIKV_API tikv_class
tikv_error_class(const tikv_error *error);

/* One line, never NULL; it lives as long as the error. */
TIKV_API const char *
tikv_error_message(const tikv_error *error);

/* The key and the region the server complained about; absent, 0 if none. */
TIKV_API tikv_slice
tikv_error_key(const tikv_error *error);

TIKV_API uint64_t
tikv_error_region(const tikv_error *error);

/* Nothing was or will be done, and trying again can succeed. */
TIKV_API bool
tikv_error_is_retryable(const tikv_error *error);

/* The write may have happened, now or later. Read before repeating it. */
TIKV_API bool
tikv_error_is_undetermined(const tikv_error *error);

/* Facts by number; new ones come without new functions. Unknown or unset
 * facts are 0 or absent. */
typedef int32_t tikv_error_field;
enum {
    TIKV_ERROR_STORE_ID = 1,
    TIKV_ERROR_REGION_ID = 2,
    TIKV_ERROR_ATTEMPTS = 3,   /* requests sent for this call */
    TIKV_ERROR_ELAPSED_MS = 4, /* from the call's start */
    TIKV_ERROR_BACKOFF_MS = 5, /* slept between attempts, all kinds */
    TIKV_ERROR_GRPC_STATUS = 6,
    TIKV_ERROR_SIZE_BYTES = 7, /* what was too large, and the limit */
    TIKV_ERROR_LIMIT_BYTES = 8,

    /* Of transactions. */
    TIKV_ERROR_START_TS = 9,     /* of the one that met the trouble */
    TIKV_ERROR_LOCK_TS = 10,     /* start ts of the one whose lock it met */
    TIKV_ERROR_LOCK_TTL_MS = 11, /* what its lock was given to live */
    TIKV_ERROR_CONFLICT_TS = 12, /* start ts of the one that wrote first */
    TIKV_ERROR_CONFLICT_COMMIT_TS = 13,
    TIKV_ERROR_REASON = 14, /* TIKV_CONFLICT_... */
    TIKV_ERROR_COMMIT_TS = 15, /* that was refused */
    TIKV_ERROR_MIN_COMMIT_TS = 16, /* that would not have been */
    TIKV_ERROR_KEY_HASH = 17,      /* of a deadlock */
    TIKV_ERROR_ASSERTION = 18,     /* 1: was to exist, 2: was not to */
    TIKV_ERROR_SAFE_POINT = 19,    /* reads below it are refused */

    /* Of requests: 1 when the region they were made for has other bounds. */
    TIKV_ERROR_REGION_MOVED = 20,

    /* Bytes. */
    TIKV_ERROR_KEY = 100, /* like tikv_error_key() */
    TIKV_ERROR_PRIMARY = 101,
    TIKV_ERROR_LOCK_KEY = 102 /* of a deadlock: the key waited for */
};

/* Why a write conflict is one: values of TIKV_ERROR_REASON. */
enum {
    TIKV_CONFLICT_UNKNOWN = 0,
    TIKV_CONFLICT_OPTIMISTIC = 1,
    TIKV_CONFLICT_PESSIMISTIC_RETRY = 2,
    TIKV_CONFLICT_SELF_ROLLED_BACK = 3,
    TIKV_CONFLICT_RC_CHECK_TS = 4,
    TIKV_CONFLICT_LAZY_UNIQUENESS = 5,
    TIKV_CONFLICT_NOT_LOCKED = 6
};

TIKV_API uint64_t
tikv_error_u64(const tikv_error *error, tikv_error_field field);

TIKV_API tikv_slice
tikv_error_bytes(const tikv_error *error, tikv_error_field field);

/* Who waited for whom when a deadlock was found, one edge after the other:
 * transaction `*txn` for `*wait_for_txn`, because of `*key`, which lives as
 * long as the error. Any out parameter may be NULL. Returns false when
 * `index` is past the last edge. */
TIKV_API bool
tikv_error_wait(const tikv_error *error, size_t index, uint64_t *txn,
                uint64_t *wait_for_txn, tikv_slice *key);

/* Time slept per kind of backoff: `*kind` is the field's established name
 * ("regionMiss", "tikvRPC", ...). Returns false when `index` is past the
 * last kind that slept. */
TIKV_API bool
tikv_error_backoff(const tikv_error *error, size_t index, const char **kind,
                   uint64_t *slept_ms);

/**
 * What became of each key of a batch that failed. A batch is not atomic
 * across regions: on error some keys may be done.
 *
 * `count` is the number of keys the call was given, or 0 when the error is
 * not about a batch; an index past it is TIKV_KEY_NOT_DONE.
 */
typedef int32_t tikv_key_outcome;
#define TIKV_KEY_NOT_DONE INT32_C(0) /* was and will not be written */
#define TIKV_KEY_DONE INT32_C(1)
#define TIKV_KEY_UNKNOWN INT32_C(2) /* sent, no answer */

TIKV_API size_t
tikv_error_outcomes_count(const tikv_error *error);

TIKV_API tikv_key_outcome
tikv_error_outcome(const tikv_error *error, size_t index);

/* For callbacks and for tests of the program's own. NULL `message` is the
 * code's name. Never returns NULL. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_error_new(tikv_code code, const char *message);

TIKV_API void
tikv_error_free(tikv_error *error);

/* "TIMEOUT", "WRITE_CONFLICT", ...; "UNKNOWN" for a number we do not know. */
TIKV_API const char *
tikv_code_name(tikv_code code);

TIKV_END_DECLS

#endif
