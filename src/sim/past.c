/* SPDX-License-Identifier: Apache-2.0 */
/* See past.h. Who reads the newest sees what was committed before it asked;
 * the rest is held to its timestamp (timeline.h). */
#include "sim/past.h"

#include "base/slice.h"
#include "exec/runtime.h"
#include "sim/deal.h"

enum { READ_MS = 400 };

/* Which replicas, by chance. Stale ones have no newest. */
static void
choose_replicas(struct tk_load *load, tikv_snapshot_options *options)
{
    static const int32_t froms[] = {
        TIKV_READ_FROM_LEADER, TIKV_READ_FROM_FOLLOWER,
        TIKV_READ_FROM_ANY,    TIKV_READ_FROM_PREFER_LEADER,
        TIKV_READ_FROM_ANY,    TIKV_READ_FROM_LEARNER,
    };

    options->read_from = froms[tk_rng_below(&load->rng, 6)];
    if (tk_rng_below(&load->rng, 3) == 0) {
        options->busy_threshold_ms = 1;
    }
    if (tk_rng_below(&load->rng, 3) == 0) {
        options->remember = TIKV_OFF;
    }
    if (options->version != TIKV_VERSION_NEWEST &&
        tk_rng_below(&load->rng, 2) == 0) {
        options->stale_read = TIKV_ON;
    }
    load->world->counts->replicas +=
        options->read_from != TIKV_READ_FROM_LEADER;
    load->world->counts->stales += options->stale_read == TIKV_ON;
}

static void
set_call(const struct tk_seat *seat, tikv_call *call)
{
    call->timeout_ms = READ_MS;
    call->cancel = seat->died;
}

static uint32_t
begin(struct tk_load *load)
{
    struct tk_world *world = load->world;

    return tk_record_begin(&world->record, load->number, tk_now(world->rt),
                           tk_now(world->rt) + READ_MS * TK_MS);
}

/* Takes the error. */
static void
end(struct tk_load *load, const struct tk_seat *seat, uint32_t txn,
    tikv_error *error)
{
    struct tk_world *world = load->world;

    tk_deal_check_code(world, seat, error);
    tk_record_end(&world->record, txn, tk_now(world->rt),
                  error == NULL ? TK_SIM_OK : TK_SIM_FAILED,
                  tikv_error_code(error));
    tikv_error_free(error);
}

/* ---- the newest, without a timestamp ---- */

static void
read_once(struct tk_load *load, const struct tk_seat *seat,
          tikv_snapshot *snapshot, uint32_t key)
{
    struct tk_world *world = load->world;
    struct tk_record_step step = { .key = key };
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    uint32_t txn = begin(load);
    tikv_value *value = NULL;
    char text[TK_SIM_TEXT];
    tikv_error *error;

    set_call(seat, &read.call);
    error = tikv_snapshot_get(snapshot, tk_world_key(world, key, text), &read,
                              &value);
    if (error == NULL) {
        uint32_t found = tk_world_value_of(value);

        step.count = found != 0;
        step.first = tk_record_values(&world->record, &found, step.count);
        tk_record_steps(&world->record, txn, &step, 1);
    }
    tikv_value_free(value);
    end(load, seat, txn, error);
}

void
tk_past_read_newest(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    uint32_t key = (uint32_t)tk_rng_below(&load->rng, world->options.keys);
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot = NULL;
    tikv_error *error;

    options.version = TIKV_VERSION_NEWEST;
    choose_replicas(load, &options);
    error = tikv_snapshot_open(seat->client, &options, &snapshot);
    if (error == NULL) {
        read_once(load, seat, snapshot, key);
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng, 5 * TK_MS));
        read_once(load, seat, snapshot, key);
    }
    tk_deal_check_code(world, seat, error);
    tikv_snapshot_free(snapshot);
    tikv_error_free(error);
}

/* ---- the past ---- */

static void
keep_pairs(struct tk_world *world, const tikv_pairs *pairs, uint32_t first,
           struct tk_record_step *steps, size_t count)
{
    const tikv_pair *data = tikv_pairs_data(pairs);
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        char text[TK_SIM_TEXT];
        tikv_slice name = tk_world_key(world, (uint32_t)(first + i), text);
        uint32_t found = 0;

        for (j = 0; j < tikv_pairs_count(pairs); j++) {
            if (tk_slice_equal(data[j].key, name)) {
                found = tk_world_value_of_slice(data[j].value);
            }
        }
        steps[i] = (struct tk_record_step){
            .key = (uint32_t)(first + i),
            .first = tk_record_values(&world->record, &found, found != 0),
            .count = found != 0,
        };
    }
}

/* A batch, or a page of a scan in either direction: all keys from `first`
 * on. */
static tikv_error *
read_many(struct tk_load *load, const struct tk_seat *seat,
          tikv_snapshot *snapshot, uint32_t first, tikv_pairs **pairs)
{
    struct tk_world *world = load->world;
    char texts[TK_SIM_KEYS_MAX][TK_SIM_TEXT];
    tikv_slice keys[TK_SIM_KEYS_MAX];
    uint32_t count = world->options.keys - first;
    uint64_t dice = tk_rng_below(&load->rng, 4);
    uint32_t i;

    for (i = 0; i < count; i++) {
        keys[i] = tk_world_key(world, first + i, texts[i]);
    }
    if (dice < 2) {
        tikv_read_options options = TIKV_READ_OPTIONS_INIT;

        set_call(seat, &options.call);
        return tikv_snapshot_batch_get(snapshot, keys, count, &options, pairs);
    } else {
        tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
        tikv_range range = { keys[0], { NULL, 0 } };

        set_call(seat, &options.call);
        options.page_count = TK_SIM_KEYS_MAX;
        options.flags = dice == 2 ? 0 : TIKV_SCAN_REVERSE;
        return tikv_snapshot_scan(snapshot, range, &options, pairs);
    }
}

/* 0: none could be had. */
static uint64_t
choose_version(struct tk_load *load, const struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    tikv_call call = TIKV_CALL_INIT;
    tikv_error *error = NULL;
    uint64_t version = 0;

    set_call(seat, &call);
    switch (tk_rng_below(&load->rng, 4)) {
    case 0:
        error = tikv_timestamp_recent(seat->client, &call, &version);
        break;
    case 1:
        error = tikv_timestamp_past(seat->client, &call,
                                    tk_rng_below(&load->rng, 50), &version);
        break;
    default:
        if (world->stamps_count != 0) {
            version =
                world->stamps[tk_rng_below(&load->rng, world->stamps_count)].ts;
        }
        break;
    }
    tk_deal_check_code(world, seat, error);
    tikv_error_free(error);
    return version;
}

void
tk_past_read(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    struct tk_record_step steps[TK_RECORD_STEPS_MAX];
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    uint32_t first = (uint32_t)tk_rng_below(&load->rng, world->options.keys);
    tikv_snapshot *snapshot = NULL;
    tikv_pairs *pairs = NULL;
    tikv_error *error;
    uint32_t txn;

    options.version = choose_version(load, seat);
    if (options.version == 0) {
        return;
    }
    choose_replicas(load, &options);
    txn = begin(load);
    error = tikv_snapshot_open(seat->client, &options, &snapshot);
    if (error == NULL) {
        error = read_many(load, seat, snapshot, first, &pairs);
    }
    if (error == NULL) {
        size_t count = world->options.keys - first;

        keep_pairs(world, pairs, first, steps, count);
        tk_record_steps(&world->record, txn, steps, count);
        world->counts->past++;
    }
    if (txn != TK_SIM_NONE) {
        world->record.txns[txn].start_ts = options.version;
        world->record.txns[txn].is_past = true;
    }
    end(load, seat, txn, error);
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
}
