/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops in the middle of a command. A handler that is told to stop drops its
 * batch and leaves; the request keeps latches on its keys and, if it was
 * about to commit in one phase or asynchronously, its locks are shown in
 * memory. It runs from its start later, past the stages that it has passed,
 * and finds its keys as they were: other writes of these keys wait for the
 * latches meanwhile, first come first served.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/fault.h"
#include "cluster/txn.h"

void
tk_cl_stage_count(struct tk_cluster *cluster)
{
    const struct tk_cl_rule *rule;

    cluster->is_staged = cluster->stops != NULL;
    for (rule = cluster->rules; rule != NULL; rule = rule->next) {
        if (rule->selector.stage != TK_STAGE_RECV) {
            cluster->is_staged = true;
        }
    }
}

/* ---- sets of keys ---- */

static void
add_key(struct tk_buf *keys, tikv_slice key)
{
    uint32_t len = (uint32_t)key.len;

    tk_buf_append(keys, &len, sizeof(len));
    tk_buf_append_slice(keys, key);
}

static bool
each_key(const struct tk_buf *keys, size_t *at, tikv_slice *key)
{
    uint32_t len;

    if (*at >= keys->len) {
        return false;
    }
    memcpy(&len, keys->data + *at, sizeof(len));
    *key = tk_slice(keys->data + *at + sizeof(len), len);
    *at += sizeof(len) + len;
    return true;
}

static bool
has_key(const struct tk_buf *keys, tikv_slice wanted)
{
    tikv_slice key;
    size_t at = 0;

    while (each_key(keys, &at, &key)) {
        if (tk_slice_equal(key, wanted)) {
            return true;
        }
    }
    return false;
}

/* ---- stops ---- */

static bool
is_raw(const struct tk_cl_request *request)
{
    return strncmp(request->method->label, "tikv.Raw", 8) == 0;
}

/* Raw writes know of each other only where they ask for it. */
static bool
takes_latches(const struct tk_cl_request *request)
{
    const uint64_t *numbers = request->fields.numbers;

    switch (request->method->index) {
    case TK_CMD_RAW_PUT:
        return numbers[6] != 0;
    case TK_CMD_RAW_BATCH_PUT:
        return numbers[5] != 0;
    case TK_CMD_RAW_DELETE:
    case TK_CMD_RAW_BATCH_DELETE:
        return numbers[4] != 0;
    case TK_CMD_RAW_DELETE_RANGE:
        return false;
    default:
        return true;
    }
}

/* Of the request, made at need; in order of arrival. */
static struct tk_cl_stop *
stop_of(struct tk_cl_request *request)
{
    struct tk_cl_stop **link = &request->cluster->stops;
    struct tk_cl_stop *stop = request->stop;

    if (stop != NULL) {
        return stop;
    }
    stop = tk_calloc(sizeof(*stop));
    if (stop == NULL) {
        request->out->failed = true;
        return NULL;
    }
    tk_buf_init(&stop->keys, SIZE_MAX / 4);
    tk_buf_init(&stop->memory_keys, SIZE_MAX / 4);
    tk_buf_init(&stop->seen, SIZE_MAX / 4);
    stop->is_raw = is_raw(request);
    stop->store = request->store;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = stop;
    request->stop = stop;
    request->cluster->is_staged = true;
    return stop;
}

static void
latch(struct tk_cl_request *request, struct tk_cl_stop *stop)
{
    tikv_slice key;
    size_t at = 0;

    if (stop->is_latched) {
        return;
    }
    while (tk_cl_next_key(request, &at, &key)) {
        add_key(&stop->keys, key);
    }
    stop->is_latched = true;
}

static bool
is_latched_by_other(const struct tk_cl_request *request)
{
    const struct tk_cl_stop *stop = request->cluster->stops;
    bool raw = is_raw(request);

    for (; stop != NULL; stop = stop->next) {
        tikv_slice key;
        size_t at = 0;

        if (stop == request->stop || !stop->is_latched ||
            stop->is_raw != raw) {
            continue;
        }
        while (tk_cl_next_key(request, &at, &key)) {
            if (has_key(&stop->keys, key)) {
                return true;
            }
        }
    }
    return false;
}

/* Latches have been let go: who wanted them tries again. */
static void
wake_waiters(struct tk_cluster *cluster)
{
    struct tk_cl_stop *stop;

    for (stop = cluster->stops; stop != NULL; stop = stop->next) {
        if (stop->wants_latch && stop->delayed != NULL) {
            stop->wants_latch = false;
            tk_cl_delayed_go(stop->delayed);
        }
    }
}

void
tk_cl_stop_unlatch(struct tk_cl_request *request)
{
    if (request->stop != NULL && request->stop->is_latched) {
        request->stop->is_latched = false;
        tk_buf_clear(&request->stop->keys);
        wake_waiters(request->cluster);
    }
}

void
tk_cl_stop_forget(struct tk_cl_request *request)
{
    struct tk_cl_stop **link = &request->cluster->stops;
    struct tk_cl_stop *stop = request->stop;
    tikv_slice key;
    size_t at = 0;

    if (stop == NULL) {
        return;
    }
    request->stop = NULL;
    while (*link != stop) {
        link = &(*link)->next;
    }
    *link = stop->next;
    while (each_key(&stop->memory_keys, &at, &key)) {
        tk_cl_memory_lock_remove(stop->store, key);
    }
    if (stop->is_latched) {
        wake_waiters(request->cluster);
    }
    tk_buf_fini(&stop->keys);
    tk_buf_fini(&stop->memory_keys);
    tk_buf_fini(&stop->seen);
    tk_free(stop);
    tk_cl_stage_count(request->cluster);
}

void
tk_cl_stop_show(struct tk_cl_request *request, tikv_slice key,
                struct tk_mvcc_lock *lock)
{
    struct tk_cl_stop *stop = request->stop;

    if (lock == NULL || stop == NULL || has_key(&stop->memory_keys, key)) {
        tk_mvcc_lock_free(lock);
        return;
    }
    add_key(&stop->memory_keys, key);
    if (stop->memory_keys.failed ||
        !tk_cl_memory_lock_add(stop->store, key, lock)) {
        request->out->failed = true;
    }
}

/* ---- stages ---- */

/* False: the handler leaves, to be run again when `hold` is over. */
static bool
stop_here(struct tk_cl_request *request, enum tk_cl_stage stage,
          const struct tk_cl_hold *hold)
{
    struct tk_cl_stop *stop = stop_of(request);

    if (stop == NULL) {
        return false;
    }
    stop->is_stopped = true;
    stop->is_again = !tk_cl_holds(hold);
    stop->hold = *hold;
    if (stage >= TK_STAGE_LATCHED &&
        (request->method->flags & TK_CL_WRITE) != 0 &&
        takes_latches(request)) {
        latch(request, stop);
    }
    return false;
}

bool
tk_cl_pass_slowly(struct tk_cl_request *request, enum tk_cl_stage stage)
{
    struct tk_cl_plan more;
    bool is_moved = false;
    bool is_final;

    if ((int)stage <= request->passed) {
        return true;
    }
    request->passed = (uint8_t)stage;
    memset(&more, 0, sizeof(more));
    tk_cl_rules_at(request, stage, &more, &is_moved);
    is_final = tk_cl_plan_is_final(&more);
    if (request->plan != NULL) {
        tk_cl_plan_merge(request->plan, &more);
    }
    if (is_final && !tk_cl_holds(&more.before)) {
        return false;
    }
    return (!is_moved && !tk_cl_holds(&more.before)) ||
           stop_here(request, stage, &more.before);
}

bool
tk_cl_enter_slowly(struct tk_cl_request *request)
{
    struct tk_cl_stop *stop;

    if (!tk_cl_pass(request, TK_STAGE_PRE)) {
        return false;
    }
    if ((request->method->flags & TK_CL_WRITE) == 0) {
        return true;
    }
    if (takes_latches(request) && is_latched_by_other(request)) {
        stop = stop_of(request);
        if (stop != NULL) {
            stop->is_stopped = true;
            stop->is_again = false;
            stop->wants_latch = true;
            memset(&stop->hold, 0, sizeof(stop->hold));
        }
        return false;
    }
    return tk_cl_pass(request, TK_STAGE_LATCHED) &&
           (!is_raw(request) || tk_cl_pass(request, TK_STAGE_APPLY));
}
