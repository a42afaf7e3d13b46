/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a BatchCommandsResponse, an answer of pairs, and the answer of
 * a command that its first byte chooses. What upb takes we must take, with the
 * same ids and values; what we hand out must lie within the input.
 */
#include "fuzz.h"

#include "wire/arena.h"
#include "wire/batch.h"
#include "wire/pairs.h"

#include "kvrpcpb.upb.h"
#include "tikvpb.upb.h"

static void
check_within(tikv_slice inner, const uint8_t *data, size_t size)
{
    if (inner.data == NULL) {
        fuzz_check(inner.len == 0);
        return;
    }
    fuzz_check(inner.data >= data && inner.data <= data + size);
    fuzz_check(inner.len <= (size_t)(data + size - inner.data));
}

static void
split(const uint8_t *data, size_t size)
{
    struct tk_arena *arena = tk_arena_new();
    const tikvpb_BatchCommandsResponse *message = tk_arena_decode(
        arena, &tikvpb_BatchCommandsResponse_msginit, data, size, NULL);
    const uint64_t *ids = NULL;
    size_t count = 0;
    size_t seen = 0;
    struct tk_split split;
    enum tk_command command;
    tikv_slice response;
    uint64_t id;

    if (message != NULL) {
        ids = tikvpb_BatchCommandsResponse_request_ids(message, &count);
    }
    if (tk_split_init(&split, (tikv_slice){ data, size })) {
        while (tk_split_next(&split, &id, &command, &response)) {
            check_within(response, data, size);
            fuzz_check(command <= TK_COMMANDS);
            fuzz_check(message == NULL || (seen < count && ids[seen] == id));
            seen++;
        }
        fuzz_check(seen == split.count);
        fuzz_check(message == NULL || seen == count);
        check_within(split.health, data, size);
    }
    tk_arena_unref(arena);
}

static void
peek(enum tk_command command, const uint8_t *data, size_t size)
{
    struct tk_peek out;

    tk_peek(command, (tikv_slice){ data, size }, &out);
    check_within(out.region_error, data, size);
    check_within(out.error, data, size);
    check_within(out.value, data, size);
}

/* The same bytes as an answer of pairs: what both take, they read alike. */
static void
walk(const uint8_t *data, size_t size)
{
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_RawBatchGetResponse *message = tk_arena_decode(
        arena, &kvrpcpb_RawBatchGetResponse_msginit, data, size, NULL);
    const kvrpcpb_KvPair *const *pairs = NULL;
    struct tk_pairs_walk walk;
    struct tk_wire_pair pair;
    size_t count = 0;
    size_t seen = 0;

    if (message != NULL) {
        pairs = kvrpcpb_RawBatchGetResponse_pairs(message, &count);
    }
    tk_pairs_walk_init(&walk, (tikv_slice){ data, size }, 2);
    while (tk_pairs_walk_next(&walk, &pair)) {
        if (pair.key.len != 0) {
            check_within(pair.key, data, size);
        }
        if (pair.value.len != 0) {
            check_within(pair.value, data, size);
        }
        if (message != NULL) {
            upb_StringView value;

            fuzz_check(seen < count);
            value = kvrpcpb_KvPair_value(pairs[seen]);
            fuzz_check(pair.has_error == kvrpcpb_KvPair_has_error(pairs[seen]));
            fuzz_check(pair.value.len == value.size);
            fuzz_check(memcmp(pair.value.data, value.data, value.size) == 0);
        }
        seen++;
    }
    fuzz_check(message == NULL || walk.is_broken || seen == count);
    tk_arena_unref(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    split(data, size);
    walk(data, size);
    if (size != 0) {
        peek((enum tk_command)(data[0] % TK_COMMANDS), data + 1, size - 1);
    }
    return 0;
}
