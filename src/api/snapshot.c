/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: opened by options, read through blocking doors. A snapshot may
 * be used, and freed, after its client was closed: it enters by the exec,
 * which it holds, and touches the client only inside. Any thread, no lock.
 */
#include "api/snapshot.h"

#include <string.h>

#include "base/alloc.h"
#include "base/call.h"
#include "base/error.h"
#include "pd/pd.h"

/* A later field must not be read from an older caller's padding. */
_Static_assert(sizeof(tikv_snapshot_options) ==
                   offsetof(tikv_snapshot_options, details) + sizeof(void *),
               "no padding at the end");
_Static_assert(sizeof(tikv_read_options) ==
                   offsetof(tikv_read_options, details) + sizeof(void *),
               "no padding at the end");
_Static_assert(sizeof(tikv_range_options) ==
                   offsetof(tikv_range_options, details) + sizeof(void *),
               "no padding at the end");

#define SCAN_FLAGS (TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY)
#define LABELS_MAX 16
#define LABELS_TEXT_MAX 1024

void
tikv_snapshot_options_init(tikv_snapshot_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

void
tikv_read_options_init(tikv_read_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

void
tikv_range_options_init(tikv_range_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

static tikv_error *
bad(const char *name, long long number)
{
    return tk_error(TIKV_ERR_ARGUMENT, "%s is %lld", name, number);
}

/* Cuts "a=1,b=2" into `labels`, whose texts lie in `text`. */
static tikv_error *
read_labels(const char *source, char *text, struct tk_label *labels,
            size_t *count)
{
    char *at = text;

    *count = 0;
    if (source == NULL || source[0] == '\0') {
        return NULL;
    }
    if (strlen(source) >= LABELS_TEXT_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT, "labels are too long");
    }
    memcpy(text, source, strlen(source) + 1);
    while (at != NULL) {
        char *comma = strchr(at, ',');
        char *equals;

        if (comma != NULL) {
            *comma = '\0';
        }
        equals = strchr(at, '=');
        if (equals == NULL || equals == at || *count == LABELS_MAX) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "labels: \"%.64s\" is not key=value", at);
        }
        *equals = '\0';
        labels[(*count)++] = (struct tk_label){ at, equals + 1 };
        at = comma == NULL ? NULL : comma + 1;
    }
    return NULL;
}

static bool
is_switch(tikv_switch value)
{
    return value == TIKV_DEFAULT || value == TIKV_ON || value == TIKV_OFF;
}

static tikv_error *
check_options(const tikv_snapshot_options *options)
{
    if (options->version >= INT64_MAX &&
        options->version != TIKV_VERSION_NEWEST) {
        return tk_error(TIKV_ERR_ARGUMENT, "version %llu is no timestamp",
                        (unsigned long long)options->version);
    }
    if (options->isolation < TIKV_ISOLATION_SNAPSHOT ||
        options->isolation > TIKV_ISOLATION_CHECK_TS) {
        return bad("isolation", options->isolation);
    }
    if (options->read_from < TIKV_READ_FROM_LEADER ||
        options->read_from > TIKV_READ_FROM_LEARNER) {
        return bad("read_from", options->read_from);
    }
    if (!is_switch(options->stale_read) || !is_switch(options->fill_cache) ||
        !is_switch(options->remember)) {
        return tk_error(TIKV_ERR_ARGUMENT, "a switch is none");
    }
    if (options->stale_read == TIKV_ON &&
        options->version == TIKV_VERSION_NEWEST) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "a stale read cannot be of the newest version");
    }
    return options->attempt_timeout_ms < 0
               ? bad("attempt_timeout_ms", options->attempt_timeout_ms)
               : NULL;
}

static void
fill_inner(const tikv_snapshot_options *options, const struct tk_label *labels,
           size_t labels_count, struct tk_snapshot_options *inner)
{
    static const enum tk_read_from from[] = {
        [TIKV_READ_FROM_LEADER] = TK_READ_LEADER,
        [TIKV_READ_FROM_FOLLOWER] = TK_READ_FOLLOWER,
        [TIKV_READ_FROM_ANY] = TK_READ_MIXED,
        [TIKV_READ_FROM_PREFER_LEADER] = TK_READ_PREFER_LEADER,
        [TIKV_READ_FROM_LEARNER] = TK_READ_LEARNER
    };

    *inner = (struct tk_snapshot_options){
        .version = options->version,
        .isolation = (uint8_t)options->isolation,
        .no_fill_cache = options->fill_cache == TIKV_OFF,
        .no_cache = options->remember == TIKV_OFF,
        .task_id = options->task_id,
        .cache_bytes = (size_t)options->cache_bytes,
        .read = { .from = from[options->read_from],
                  .is_stale = options->stale_read == TIKV_ON,
                  .busy_threshold_ms = options->busy_threshold_ms,
                  .timeout_ms = options->attempt_timeout_ms,
                  .labels = labels,
                  .labels_count = labels_count },
    };
}

/* Asks PD for the version, unless it is given. */
static tikv_error *
find_version(tikv_client *client, const tikv_call *call, tikv_details *details,
             uint64_t *version)
{
    tikv_error *error;
    struct tk_op op;

    if (*version != 0) {
        return NULL;
    }
    error = tk_door_enter(client, call, &op);
    if (error == NULL) {
        op.details = details;
        error =
            tk_op_end(&op, tk_pd_timestamp(client->router.pd, &op, version));
        tk_door_leave(client, &op);
    }
    return error;
}

static tikv_error *
make(tikv_client *client, const struct tk_snapshot_options *options,
     tikv_snapshot **out)
{
    tikv_snapshot *snapshot = tk_calloc(sizeof(*snapshot));

    if (snapshot == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    snapshot->inner = tk_snapshot_new(client->txns, options);
    if (snapshot->inner == NULL) {
        tk_free(snapshot);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    snapshot->client = client;
    snapshot->exec = client->router.exec;
    tk_exec_ref(snapshot->exec);
    *out = snapshot;
    return NULL;
}

tikv_error *
tikv_snapshot_open(tikv_client *client, const tikv_snapshot_options *options,
                   tikv_snapshot **out)
{
    tikv_error *error = tk_door_refusal(client);
    struct tk_label labels[LABELS_MAX];
    struct tk_snapshot_options inner;
    tikv_snapshot_options copy;
    char text[LABELS_TEXT_MAX];
    size_t count = 0;

    if (out == NULL) {
        tikv_error_free(error);
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    if (error == NULL) {
        error = tk_options_read(options, sizeof(copy), &copy);
    }
    if (error == NULL) {
        error = check_options(&copy);
    }
    if (error == NULL) {
        error = read_labels(copy.labels, text, labels, &count);
    }
    if (error == NULL) {
        error = find_version(client, &copy.call, copy.details, &copy.version);
    }
    if (error != NULL) {
        return error;
    }
    fill_inner(&copy, labels, count, &inner);
    return make(client, &inner, out);
}

uint64_t
tikv_snapshot_version(const tikv_snapshot *snapshot)
{
    return snapshot == NULL ? 0 : tk_snapshot_version(snapshot->inner);
}

void
tikv_snapshot_free(tikv_snapshot *snapshot)
{
    if (snapshot != NULL) {
        tk_snapshot_unref(snapshot->inner);
        tk_exec_unref(snapshot->exec);
        tk_free(snapshot);
    }
}

uint64_t
tikv_snapshot_u64(const tikv_snapshot *snapshot, tikv_snapshot_field field)
{
    /* In the order of the numbers. */
    _Static_assert((int)TIKV_SNAPSHOT_SERVER_PROCESS_NS == (int)TK_STATS,
                   "fields and statistics are the same");

    return snapshot == NULL || field < 1 || field > (int32_t)TK_STATS
               ? 0
               : tk_snapshot_stat(snapshot->inner,
                                  (enum tk_snapshot_stat)(field - 1));
}

/* ---- reads ---- */

tikv_error *
tk_read_options(const tikv_read_options *options, struct tk_read *read,
                tikv_call *call)
{
    tikv_read_options copy;
    tikv_error *error = tk_options_read(options, sizeof(copy), &copy);

    if (error != NULL) {
        return error;
    }
    if ((copy.flags & ~TIKV_READ_COMMIT_TS) != 0) {
        return bad("flags", copy.flags);
    }
    read->with_commit_ts = (copy.flags & TIKV_READ_COMMIT_TS) != 0;
    read->details = copy.details;
    *call = copy.call;
    call->struct_size = sizeof(*call);
    return NULL;
}

tikv_error *
tk_range_options(const tikv_range_options *options, struct tk_read *read,
                 tikv_call *call)
{
    tikv_range_options copy;
    tikv_error *error = tk_options_read(options, sizeof(copy), &copy);

    if (error != NULL) {
        return error;
    }
    if ((copy.flags & ~SCAN_FLAGS) != 0) {
        return bad("flags", copy.flags);
    }
    if (copy.page_count > TIKV_SCAN_PAGE_MAX) {
        return bad("page_count", copy.page_count);
    }
    read->scan = (struct tk_scan_options){
        .page_count = copy.page_count,
        .page_bytes = (size_t)copy.page_bytes,
        .sample_step = copy.sample_step,
        .reverse = (copy.flags & TIKV_SCAN_REVERSE) != 0,
        .keys_only = (copy.flags & TIKV_SCAN_KEYS_ONLY) != 0,
    };
    read->details = copy.details;
    *call = copy.call;
    call->struct_size = sizeof(*call);
    return NULL;
}

tikv_error *
tk_read_check(const tikv_snapshot *snapshot, const struct tk_read *read)
{
    size_t i;

    if (snapshot == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "snapshot is NULL");
    }
    if (read->count != 0 && read->keys == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "keys is NULL");
    }
    for (i = 0; i < read->count; i++) {
        if (read->keys[i].data == NULL) {
            return tk_error(TIKV_ERR_ARGUMENT, "key %zu is absent", i);
        }
    }
    return NULL;
}

/* The one value of `hold`; a large one keeps the answer it lies in. */
static tikv_error *
give_value(tikv_pairs *hold, const struct tk_found *found, tikv_value **out)
{
    struct tk_frame *frame = NULL;

    *out = NULL;
    if (found->value.data == NULL) {
        return NULL;
    }
    if (found->value.len >= TK_VALUE_ALIAS_MIN && hold->frames_count == 1) {
        frame = hold->frames[0];
        tk_frame_ref(frame);
    }
    *out = tk_value_new(found->value, frame);
    if (*out == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    (*out)->commit_ts = found->commit_ts;
    return NULL;
}

static tikv_error *
run_get(const struct tk_read *read, struct tk_op *op,
        struct tk_outcome *outcome)
{
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found;
    tikv_error *error;

    if (hold == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error =
        tk_snapshot_get_after(read->snapshot, op, read->keys, 1,
                              read->with_commit_ts, read->first, hold, &found);
    if (error == NULL) {
        error = give_value(hold, &found, &outcome->value);
    }
    tikv_pairs_free(hold);
    return error;
}

/* Keys come back in memory of the pairs. */
static bool
give_pairs(const struct tk_read *read, const struct tk_found *found,
           tikv_pairs *pairs)
{
    size_t i;

    if (read->with_commit_ts) {
        pairs->commit_ts =
            tk_alloc_array(read->count, sizeof(*pairs->commit_ts));
        if (pairs->commit_ts == NULL) {
            return false;
        }
    }
    for (i = 0; i < read->count; i++) {
        tikv_slice key;

        if (!tk_pairs_copy(pairs, read->keys[i], &key) ||
            !tk_pairs_add(pairs, key, found[i].value)) {
            return false;
        }
        if (read->with_commit_ts) {
            pairs->commit_ts[i] = found[i].commit_ts;
        }
    }
    return true;
}

static tikv_error *
run_batch(const struct tk_read *read, struct tk_op *op,
          struct tk_outcome *outcome)
{
    tikv_pairs *pairs = tk_pairs_new(read->count);
    struct tk_found *found = tk_alloc_array(read->count, sizeof(*found));
    tikv_error *error = NULL;

    if (pairs == NULL || found == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        error = tk_snapshot_get(read->snapshot, op, read->keys, read->count,
                                read->with_commit_ts, pairs, found);
    }
    if (error == NULL && !give_pairs(read, found, pairs)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_free(found);
    if (error != NULL) {
        tikv_pairs_free(pairs);
        return error;
    }
    outcome->pairs = pairs;
    return NULL;
}

tikv_error *
tk_read_run(const struct tk_read *read, struct tk_op *op,
            struct tk_outcome *outcome)
{
    switch (read->kind) {
    case TK_READ_GET:
        return run_get(read, op, outcome);
    case TK_READ_BATCH_GET:
        return run_batch(read, op, outcome);
    case TK_READ_SCAN:
    default:
        return tk_snapshot_scan(read->snapshot, op, read->range, &read->scan,
                                &outcome->pairs);
    }
}

/* The exec is entered first: inside, the client is there. */
static tikv_error *
run_inside(tikv_snapshot *snapshot, struct tk_read *read, const tikv_call *call,
           struct tk_outcome *outcome)
{
    tikv_error *error = tk_exec_enter(snapshot->exec);
    struct tk_op op;

    if (error != NULL) {
        return error;
    }
    if (tk_op_init(&op, snapshot->exec, call,
                   tk_config_ns(&snapshot->client->config.call_timeout_ms))) {
        read->snapshot = snapshot->inner;
        op.details = read->details;
        error = tk_op_end(&op, tk_read_run(read, &op, outcome));
        tk_op_fini(&op);
    } else {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_exec_leave(snapshot->exec);
    return error;
}

static tikv_error *
no_out(void)
{
    return tk_error(TIKV_ERR_ARGUMENT, "an out parameter is NULL");
}

tikv_error *
tikv_snapshot_get(tikv_snapshot *snapshot, tikv_slice key,
                  const tikv_read_options *options, tikv_value **out)
{
    struct tk_read read = { .kind = TK_READ_GET, .keys = &key, .count = 1 };
    struct tk_outcome outcome = { .value = NULL };
    tikv_error *error;
    tikv_call call;

    if (out == NULL) {
        return no_out();
    }
    error = tk_read_options(options, &read, &call);
    if (error == NULL) {
        error = tk_read_check(snapshot, &read);
    }
    if (error == NULL) {
        error = run_inside(snapshot, &read, &call, &outcome);
    }
    *out = outcome.value;
    return error;
}

tikv_error *
tikv_snapshot_batch_get(tikv_snapshot *snapshot, const tikv_slice *keys,
                        size_t count, const tikv_read_options *options,
                        tikv_pairs **out)
{
    struct tk_read read = { .kind = TK_READ_BATCH_GET,
                            .keys = keys,
                            .count = count };
    struct tk_outcome outcome = { .pairs = NULL };
    tikv_error *error;
    tikv_call call;

    if (out == NULL) {
        return no_out();
    }
    error = tk_read_options(options, &read, &call);
    if (error == NULL) {
        error = tk_read_check(snapshot, &read);
    }
    if (error == NULL) {
        error = run_inside(snapshot, &read, &call, &outcome);
    }
    *out = outcome.pairs;
    return error;
}

tikv_error *
tikv_snapshot_scan(tikv_snapshot *snapshot, tikv_range range,
                   const tikv_range_options *options, tikv_pairs **out)
{
    struct tk_read read = { .kind = TK_READ_SCAN, .range = range };
    struct tk_outcome outcome = { .pairs = NULL };
    tikv_error *error;
    tikv_call call;

    if (out == NULL) {
        return no_out();
    }
    error = tk_range_options(options, &read, &call);
    if (error == NULL) {
        error = tk_read_check(snapshot, &read);
    }
    if (error == NULL) {
        error = run_inside(snapshot, &read, &call, &outcome);
    }
    *out = outcome.pairs;
    return error;
}
