/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterators: the page that is read out, and the future of the next one.
 *
 *     page at hand --read out--> take the future --> its range's future
 *
 * A future is asked for as soon as the page before it is in, so that reading
 * and fetching go side by side; one page ahead, no more. One thread at a time.
 */
#include <string.h>

#include "api/snapshot.h"
#include "base/alloc.h"
#include "base/error.h"

struct tikv_iter {
    tikv_snapshot snapshot; /* a holder of its own */
    struct tk_read read;    /* range apart */
    tikv_call call;
    uint8_t *texts;   /* of the call */
    tikv_pairs *page; /* read out up to `place` */
    size_t place;
    tikv_future *next; /* NULL: there is none, or not yet */
    tikv_error *error; /* what ended it */
};

static void
fetch(tikv_iter *iter, tikv_range range)
{
    iter->read.range = range;
    iter->next = tk_read_promise(&iter->snapshot, &iter->read, &iter->call);
}

tikv_error *
tikv_snapshot_iterate(tikv_snapshot *snapshot, tikv_range range,
                      const tikv_range_options *options, tikv_iter **out)
{
    struct tk_read read = { .kind = TK_READ_SCAN };
    tikv_error *error;
    tikv_iter *iter;
    tikv_call call;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = tk_range_options(options, &read, &call);
    if (error == NULL) {
        error = tk_read_check(snapshot, &read);
    }
    if (error != NULL) {
        return error;
    }
    iter = tk_calloc(sizeof(*iter));
    if (iter == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    iter->texts = tk_alloc(tk_call_copy_size(&call) + 1);
    if (iter->texts == NULL) {
        tk_free(iter);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    iter->snapshot = *snapshot;
    tk_exec_ref(iter->snapshot.exec);
    tk_snapshot_ref(iter->snapshot.inner);
    iter->read = read;
    iter->read.details = NULL; /* a page may outlive it */
    iter->call = call;
    (void)tk_call_copy(&iter->call, iter->texts);
    fetch(iter, range);
    *out = iter;
    return NULL;
}

/* The page that was on its way; the one after it is sent for. */
static tikv_error *
turn_page(tikv_iter *iter, int64_t timeout_ms)
{
    tikv_error *error;
    tikv_range rest;

    if (!tikv_future_wait(iter->next, timeout_ms)) {
        return tk_error(TIKV_ERR_TIMEOUT, "the page is still on its way");
    }
    tikv_pairs_free(iter->page);
    iter->page = NULL;
    iter->place = 0;
    error = tikv_future_take_pairs(iter->next, &iter->page);
    tikv_future_free(iter->next);
    iter->next = NULL;
    if (error != NULL) {
        iter->error = tk_error_copy(error);
        return error;
    }
    if (tikv_pairs_next(iter->page, &rest)) {
        fetch(iter, rest);
    }
    return NULL;
}

tikv_error *
tikv_iter_next(tikv_iter *iter, int64_t timeout_ms, tikv_pair *out)
{
    if (iter == NULL || out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s is NULL",
                        iter == NULL ? "iter" : "out");
    }
    memset(out, 0, sizeof(*out));
    if (iter->error != NULL) {
        return tk_error_copy(iter->error);
    }
    while (iter->place == tikv_pairs_count(iter->page)) {
        tikv_error *error;

        if (iter->next == NULL) {
            return NULL;
        }
        error = turn_page(iter, timeout_ms);
        if (error != NULL) {
            return error;
        }
    }
    *out = tikv_pairs_data(iter->page)[iter->place++];
    return NULL;
}

void
tikv_iter_free(tikv_iter *iter)
{
    if (iter == NULL) {
        return;
    }
    if (iter->next != NULL) {
        tikv_future_cancel(iter->next);
        tikv_future_free(iter->next);
    }
    tikv_pairs_free(iter->page);
    tikv_error_free(iter->error);
    tk_snapshot_unref(iter->snapshot.inner);
    tk_exec_unref(iter->snapshot.exec);
    tk_free(iter->texts);
    tk_free(iter);
}
