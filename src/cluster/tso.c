/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timestamp oracle, as PD runs it: a physical part that follows the wall
 * clock on a grid of 50 ms and never goes back, a logical part that counts
 * up in between, and a saved bound ahead of both, behind which the next
 * leader begins. There is no timer: ticks that are due are made up for when
 * somebody asks.
 */
#include "cluster/pd.h"

enum { TICK_MS = 50, SAVE_MS = 5000, GUARD_MS = 1, LOGICAL_BITS = 18 };

static void
save(struct tk_cl_tso *tso)
{
    if (tso->bound_ms - tso->physical_ms <= GUARD_MS) {
        tso->bound_ms = tso->physical_ms + SAVE_MS;
    }
}

static void
step(struct tk_cl_tso *tso, int64_t physical_ms, int64_t logical)
{
    tso->physical_ms = physical_ms;
    tso->logical = logical;
    save(tso);
}

static void
tick(struct tk_cl_tso *tso, int64_t now_ms)
{
    int64_t due = now_ms / TICK_MS;

    if (due <= tso->tick || now_ms < tso->frozen_until_ms) {
        return;
    }
    tso->tick = due;
    if (due * TICK_MS > tso->physical_ms + 1) {
        step(tso, due * TICK_MS, 0);
    } else if (tso->logical > INT64_C(1) << (LOGICAL_BITS - 1)) {
        step(tso, tso->physical_ms + 1, 0);
    }
}

void
tk_cl_tso_lead(struct tk_cluster *cluster)
{
    struct tk_cl_tso *tso = &cluster->tso;
    int64_t now_ms = tk_cl_wall_ms(cluster);

    tso->tick = now_ms / TICK_MS;
    step(tso, now_ms > tso->bound_ms ? now_ms : tso->bound_ms + 1, 0);
}

void
tk_cl_tso_take(struct tk_cluster *cluster, uint32_t count, int64_t *physical,
               int64_t *logical)
{
    struct tk_cl_tso *tso = &cluster->tso;
    const int64_t limit = INT64_C(1) << LOGICAL_BITS;

    tick(tso, tk_cl_wall_ms(cluster));
    tso->logical += count;
    if (tso->logical >= limit) {
        step(tso, tso->physical_ms + 1, count);
    }
    *physical = tso->physical_ms;
    *logical = tso->logical;
}

static void
put_timestamp(struct tk_cl_request *request, uint32_t field, uint32_t count)
{
    uint32_t bits = request->cluster->pd->suffix_bits;
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, field);
    int64_t physical;
    int64_t logical;

    /* Suffixes space the logical parts out, all are multiples. */
    tk_cl_tso_take(request->cluster, count << bits, &physical, &logical);
    logical = logical >> bits << bits;
    tk_put_u64(out, 1, (uint64_t)physical);
    tk_put_u64(out, 2, (uint64_t)logical);
    tk_put_u64(out, 3, bits);
    tk_put_end(out, mark);
}

int
tk_cl_tso_check(struct tk_cl_request *request, uint32_t count)
{
    uint32_t most =
        (UINT32_C(1) << LOGICAL_BITS) >> request->cluster->pd->suffix_bits;

    if (count > 0 && count < most) {
        return TK_GRPC_OK;
    }
    return tk_cl_status(request, TK_GRPC_UNKNOWN, "%s",
                        count == 0 ? "tso count should be positive"
                                   : "tso count is too large");
}

void
tk_cl_tso_answer(struct tk_cl_request *request, uint32_t count)
{
    tk_put_u64(request->out, 2, count);
    put_timestamp(request, 3, count);
}

void
tk_cl_tso_put_one(struct tk_cl_request *request, uint32_t field)
{
    put_timestamp(request, field, 1);
}

int
tk_cl_pd_min_ts(struct tk_cl_request *request)
{
    tk_cl_put_header(request, 0, NULL);
    tk_cl_tso_put_one(request, 2);
    return TK_GRPC_OK;
}

/* One message of a Tso stream. A status other than OK ends the stream. */
int
tk_cl_pd_tso(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint32_t count = (uint32_t)request->fields.numbers[2];
    struct tk_cl_fields header;
    int status;

    if (!tk_cl_decode(request->fields.bytes[1], &header)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL,
                            "cannot read the header");
    }
    if (header.numbers[1] != cluster->id) {
        return tk_cl_status(request, TK_GRPC_FAILED_PRECONDITION,
                            "mismatch cluster id, need %llu but got %llu",
                            (unsigned long long)cluster->id,
                            (unsigned long long)header.numbers[1]);
    }
    if (cluster->leader != request->member) {
        return tk_cl_status(
            request, TK_GRPC_UNKNOWN,
            cluster->members[request->member].has_led
                ? "generate timestamp failed, requested not leader anymore"
                : "generate timestamp failed, timestamp in memory isn't "
                  "initialized");
    }
    status = tk_cl_tso_check(request, count);
    if (status == TK_GRPC_OK) {
        tk_cl_put_header(request, 0, NULL);
        tk_cl_tso_answer(request, count);
    }
    return status;
}
