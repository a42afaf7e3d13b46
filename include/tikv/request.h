/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_REQUEST_H
#define TIKV_REQUEST_H

/**
 * Requests of TiKV's own protocol, sent to the region of a key: for databases
 * that speak to the coprocessor, and for commands that this library has no
 * function for.
 *
 * The caller encodes the request, a protobuf message of kvproto, without its
 * Context, and names the method of TiKV's service: "Coprocessor", "KvGet".
 * The library finds the region and the replica, adds the Context, sends, and
 * hands over the bytes of the response as they came.
 *
 * Retried, within the call's time and the client's backoff: whatever has to
 * do with where the key lives and how its store is: region errors, busy or
 * lost stores. A write that was sent and never answered is retried too, if
 * doing it twice is no harm; in the end it is TIKV_ERR_UNDETERMINED.
 *
 * Not looked into: everything else. Locks, conflicts and errors of the
 * command are in the response, and the caller's to handle.
 *
 * Keys inside of the messages are spelled as TiKV has them; see
 * tikv_request_key(). The key beside the message is the caller's own.
 */

#include <tikv/future.h>
#include <tikv/snapshot.h>

TIKV_BEGIN_DECLS

typedef struct tikv_request_options {
    tikv_call call;

    /* The region that the message was made for, as tikv_region_info tells: a
     * scan of it, say. When its bounds have changed since, the message must
     * be made anew: the call ends with TIKV_ERR_REGION, of which
     * TIKV_ERROR_REGION_MOVED is 1, and the cache knows the new bounds. 0:
     * the message is right for whichever region the key is in. */
    uint64_t region_id;
    uint64_t region_version;

    /* Of one attempt; 0: what the command has. */
    int64_t attempt_timeout_ms;

    /* More of kvrpcpb.Context, encoded: isolation level, resolved locks, ...
     * ARGUMENT for a field that the library sets: those of the region, the
     * client and `call`, and those that the options below set. */
    tikv_slice context;

    int32_t read_from; /* TIKV_READ_FROM_...; writes go to the leader */

    /* The replica may answer without its leader. Default off. */
    tikv_switch stale_read;

    /* TIKV_REQUEST_... */
    uint32_t flags;
    uint32_t reserved;

    tikv_details *details; /* gets the call's account: details.h */
} tikv_request_options;
#define TIKV_REQUEST_OPTIONS_INIT                                              \
    {                                                                          \
        TIKV_CALL_INIT_SIZED(sizeof(tikv_request_options)), 0, 0, 0,           \
            { NULL, 0 }, 0, 0, 0, 0, NULL                                      \
    }

/* The key is one of raw data. So it is without the flag for methods whose name
 * begins with "Raw"; others are about transactional data. */
#define TIKV_REQUEST_RAW_KEY UINT32_C(1)

TIKV_API void
tikv_request_options_init(tikv_request_options *options, size_t struct_size);

/* Sends `message` to the region of `key` and gives the response, never NULL
 * on success. Blocks. ARGUMENT for a method that TiKV has not, as far as we
 * know, for a message that is none, or has a Context; UNSUPPORTED for methods
 * that are streams: <tikv/stream.h> has those that are answered by one. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_request_send(tikv_client *client, const char *method, tikv_slice key,
                  tikv_slice message, const tikv_request_options *options,
                  tikv_value **out);

/* The same, promised; taken with tikv_future_take_value(). */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_request_send_async(tikv_client *client, const char *method, tikv_slice key,
                        tikv_slice message,
                        const tikv_request_options *options);

/* A key as messages have it: in API V2 behind the prefix of the keyspace, in
 * V1 as it is. `flags` as above; with TIKV_REQUEST_END it is the end of a
 * range, and the empty one is the end of the keyspace. */
#define TIKV_REQUEST_END UINT32_C(2)

TIKV_API TIKV_MUST_USE tikv_error *
tikv_request_key(tikv_client *client, tikv_slice key, uint32_t flags,
                 tikv_value **out);

TIKV_END_DECLS

#endif
