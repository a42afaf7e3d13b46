/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching the ledger: each watch of a stream knows up to which revision it
 * has told, and gets the rest as one message when a request, a timer or the
 * test has changed something. The messages are queued with the lock held, and
 * said by whoever lets go of it (tk_cl_streams_push).
 */
#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/pd.h"

static tikv_slice
copy(uint8_t *to, tikv_slice bytes)
{
    if (bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    return tk_slice(to, bytes.len);
}

struct tk_cl_watch *
tk_cl_watch_add(struct tk_cluster_stream *stream,
                const struct tk_cl_watch_kind *kind, tikv_slice start,
                tikv_slice end, int64_t since)
{
    struct tk_cl_watch *watch =
        tk_calloc(sizeof(*watch) + start.len + end.len);
    struct tk_cl_watch **link = &stream->watches;

    if (watch == NULL) {
        return NULL;
    }
    watch->kind = kind;
    watch->since =
        since > 0 ? since : stream->cluster->pd->ledger.revision + 1;
    watch->start = copy(watch->bytes, start);
    watch->end = copy(watch->bytes + start.len, end);
    while (*link != NULL) {
        watch->id = (*link)->id + 1;
        link = &(*link)->next;
    }
    *link = watch;
    return watch;
}

bool
tk_cl_watch_remove(struct tk_cluster_stream *stream, int64_t id)
{
    struct tk_cl_watch **link = &stream->watches;
    struct tk_cl_watch *watch;

    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    watch = *link;
    if (watch == NULL) {
        return false;
    }
    *link = watch->next;
    tk_free(watch);
    return true;
}

void
tk_cl_watches_free(struct tk_cluster_stream *stream)
{
    while (stream->watches != NULL) {
        struct tk_cl_watch *watch = stream->watches;

        stream->watches = watch->next;
        tk_free(watch);
    }
}

const struct tk_ledger_version *
tk_cl_watch_prev(const struct tk_ledger_version *version)
{
    const struct tk_ledger_version *older = version->older;

    return older == NULL || tk_ledger_is_deleted(older) ? NULL : older;
}

static bool
is_wanted(const struct tk_cl_watch *watch,
          const struct tk_ledger_version *version)
{
    bool is_deleted = tk_ledger_is_deleted(version);

    return !(is_deleted ? watch->no_delete : watch->no_put) &&
           tk_cl_in_span(version->item->map.key, watch->start, watch->end);
}

void
tk_cl_watch_tell(struct tk_cluster_stream *stream, struct tk_cl_watch *watch)
{
    const struct tk_ledger *ledger = &stream->cluster->pd->ledger;
    size_t place = tk_ledger_log_from(ledger, watch->since);
    struct tk_cl_message *message = NULL;

    for (; place < tk_ledger_log_end(ledger); place++) {
        const struct tk_ledger_version *version =
            tk_ledger_log_at(ledger, place);

        if (!is_wanted(watch, version)) {
            continue;
        }
        if (message == NULL) {
            message = tk_cl_message_new(stream);
            if (message == NULL) {
                tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                                  "out of memory");
                return;
            }
            watch->kind->begin(stream, watch, &message->bytes);
        }
        watch->kind->event(stream, watch, version, &message->bytes);
    }
    if (watch->since <= ledger->revision) {
        watch->since = ledger->revision + 1;
    }
    if (message != NULL && message->bytes.failed) {
        tk_cl_message_free(stream, message);
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
    } else if (message != NULL) {
        tk_cl_stream_queue(stream, message);
        stream->has_news = true;
        stream->cluster->has_news = true;
    }
}

void
tk_cl_pd_tell(struct tk_cluster *cluster)
{
    struct tk_cluster_stream *stream;
    struct tk_cl_watch *watch;

    if (cluster->pd->told == cluster->pd->ledger.revision) {
        return;
    }
    cluster->pd->told = cluster->pd->ledger.revision;
    for (stream = cluster->streams; stream != NULL; stream = stream->next) {
        for (watch = stream->is_over ? NULL : stream->watches; watch != NULL;
             watch = watch->next) {
            tk_cl_watch_tell(stream, watch);
        }
    }
}
