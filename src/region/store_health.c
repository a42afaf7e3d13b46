/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well a store does, by its own word and by our experience (ST-6 .. ST-8).
 * A score is kept with the time it was given and falls while nothing renews
 * it; nobody needs to tick. 80 and more is slow.
 *
 * Threads: any. Scores are single words; the averages of our experience are
 * guarded by the table's lock.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "region/store_inner.h"
#include "wire/proto.h"

#include "metapb.upb.h"

enum {
    SCORE_MIN = 1,
    SCORE_SLOW = 80,
    SCORE_MAX = 100,
    TOLD_EVERY_MS = 100,     /* news in between are dropped */
    TOLD_HOLDS_MS = 15000,   /* then the score falls... */
    TOLD_FALLS_MS = 3000,    /* ...by one in so long */
    FELT_FALLS_MS = 7500,
    FEEL_MS = 15000,         /* one slot of experience */
    FEEL_BAD_MS = 30000      /* a request so long says it alone */
};

/* Of the message kvrpcpb.HealthFeedback. */
enum { FEEDBACK_STORE = 1, FEEDBACK_SCORE = 3 };

/* ---- scores ---- */

static uint64_t
pack(int64_t now, uint64_t score)
{
    return (uint64_t)(now / TK_MS) << 8 | score;
}

static uint64_t
score_of(uint64_t packed, int64_t now, int64_t holds_ms, int64_t falls_ms)
{
    uint64_t score = packed & 0xff;
    int64_t age = now / TK_MS - (int64_t)(packed >> 8) - holds_ms;
    uint64_t fall = age > 0 ? (uint64_t)(age / falls_ms) : 0;

    return score <= SCORE_MIN || fall >= score - SCORE_MIN ? SCORE_MIN
                                                           : score - fall;
}

static uint64_t
told_score(const struct tk_store *store, int64_t now)
{
    return score_of(atomic_load_explicit(&store->told, memory_order_relaxed),
                    now, TOLD_HOLDS_MS, TOLD_FALLS_MS);
}

static uint64_t
felt_score(const struct tk_store *store, int64_t now)
{
    return score_of(atomic_load_explicit(&store->felt, memory_order_relaxed),
                    now, 0, FELT_FALLS_MS);
}

uint64_t
tk_store_score(const struct tk_store *store, int64_t now)
{
    uint64_t told = told_score(store, now);
    uint64_t felt = felt_score(store, now);

    return told > felt ? told : felt;
}

bool
tk_store_is_slow(const struct tk_store *store, int64_t now)
{
    return tk_store_score(store, now) >= SCORE_SLOW;
}

void
tk_store_mark_slow(struct tk_store *store, int64_t now)
{
    atomic_store_explicit(&store->felt, pack(now, SCORE_MAX),
                          memory_order_relaxed);
}

void
tk_store_tell(struct tk_store *store, int64_t now, uint64_t score)
{
    uint64_t old = atomic_load_explicit(&store->told, memory_order_relaxed);
    int64_t age = now / TK_MS - (int64_t)(old >> 8);
    uint64_t given = score > SCORE_MAX   ? SCORE_MAX
                     : score < SCORE_MIN ? SCORE_MIN
                                         : score;

    if (old == 0 || age >= TOLD_EVERY_MS) {
        atomic_store_explicit(&store->told, pack(now, given),
                              memory_order_relaxed);
    }
}

/* ---- load ---- */

int64_t
tk_store_wait_ms(const struct tk_store *store, int64_t now)
{
    int64_t until =
        atomic_load_explicit(&store->busy_until, memory_order_relaxed);

    return until > now ? (until - now) / TK_MS : 0;
}

void
tk_store_set_wait(struct tk_store *store, int64_t now, int64_t wait_ms)
{
    atomic_store_explicit(&store->busy_until, tk_after(now, wait_ms * TK_MS),
                          memory_order_relaxed);
}

/* ---- experience ---- */

static uint64_t
average(const uint64_t *values, unsigned count)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        sum += values[i];
    }
    return count == 0 ? 0 : sum / count;
}

/* Change against what was usual, in thousandths. */
static int64_t
gradient(uint64_t now, uint64_t usual)
{
    return usual == 0 ? 0
                      : ((int64_t)now - (int64_t)usual) * 1000 /
                            (int64_t)usual;
}

/* A slot is over: fewer requests that take longer are a bad sign, the worse
 * the steeper. */
static uint64_t
judge_slot(struct tk_feeling *feeling, uint64_t score)
{
    unsigned known =
        feeling->slots < TK_FEEL_SLOTS ? feeling->slots : TK_FEEL_SLOTS;
    uint64_t us = feeling->count == 0 ? 0 : feeling->sum_us / feeling->count;
    int64_t slower = gradient(us, average(feeling->us, known));
    int64_t fewer = gradient(feeling->count, average(feeling->counts, known));
    unsigned at = feeling->slots++ % TK_FEEL_SLOTS;

    feeling->us[at] = us;
    feeling->counts[at] = feeling->count;
    feeling->sum_us = 0;
    feeling->count = 0;
    if (fewer <= -100 && slower >= 100) {
        int64_t ratio = slower * 1000 / -fewer;
        uint64_t worse = (uint64_t)(ratio > 5430 ? 5430 : ratio);

        score = (score * worse + 999) / 1000 + 1;
    }
    return score > SCORE_MAX ? SCORE_MAX : score;
}

void
tk_store_feel(struct tk_stores *stores, struct tk_store *store, int64_t now,
              int64_t took_ns)
{
    struct tk_feeling *feeling =
        &((struct tk_store_slot *)(void *)store)->feeling;
    uint64_t score = felt_score(store, now);
    bool is_over;

    if (took_ns >= FEEL_BAD_MS * TK_MS) {
        tk_store_mark_slow(store, now);
        return;
    }
    tk_mutex_lock(&stores->lock);
    is_over = feeling->slot_ends != 0 && now >= feeling->slot_ends;
    if (is_over) {
        score = judge_slot(feeling, score);
    }
    if (feeling->slot_ends <= now) {
        feeling->slot_ends = tk_after(now, FEEL_MS * TK_MS);
    }
    feeling->sum_us += (uint64_t)took_ns / 1000;
    feeling->count++;
    tk_mutex_unlock(&stores->lock);
    if (is_over && score > felt_score(store, now)) {
        atomic_store_explicit(&store->felt, pack(now, score),
                              memory_order_relaxed);
    }
}

/* ---- what stores tell ---- */

/* On the transport's thread. */
static void
told(void *arg, tikv_slice feedback)
{
    struct tk_stores *stores = arg;
    struct tk_cursor cursor = tk_cursor(feedback);
    struct tk_store *store;
    struct tk_field field;
    uint64_t id = 0;
    uint64_t score = 0;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.type == TK_WIRE_VARINT && field.number == FEEDBACK_STORE) {
            id = field.value;
        } else if (field.type == TK_WIRE_VARINT &&
                   field.number == FEEDBACK_SCORE) {
            score = field.value;
        }
    }
    store = tk_stores_find(stores, id);
    if (store != NULL && score != 0) {
        tk_store_tell(store, tk_now(stores->rt), score);
    }
}

void
tk_stores_health_start(struct tk_stores *stores)
{
    tk_rpc_on_health(stores->rpc, told, stores);
}

/* ---- labels ---- */

static bool
is_text(const char *text, upb_StringView view)
{
    return strlen(text) == view.size &&
           memcmp(text, view.data, view.size) == 0;
}

static bool
are_labels(const struct tk_labels *labels,
           const metapb_StoreLabel *const *facts, size_t count)
{
    size_t i;

    if ((labels == NULL ? 0 : labels->count) != count) {
        return false;
    }
    for (i = 0; i < count; i++) {
        if (!is_text(labels->all[i].key, metapb_StoreLabel_key(facts[i])) ||
            !is_text(labels->all[i].value,
                     metapb_StoreLabel_value(facts[i]))) {
            return false;
        }
    }
    return true;
}

static const char *
put_text(char **at, upb_StringView view)
{
    char *text = *at;

    if (view.size != 0) {
        memcpy(text, view.data, view.size);
    }
    text[view.size] = '\0';
    *at += view.size + 1;
    return text;
}

static struct tk_labels *
copy_labels(const metapb_StoreLabel *const *facts, size_t count)
{
    size_t size = sizeof(struct tk_labels) + count * sizeof(struct tk_label);
    struct tk_labels *labels;
    size_t text = 0;
    char *at;
    size_t i;

    for (i = 0; i < count; i++) {
        text += metapb_StoreLabel_key(facts[i]).size +
                metapb_StoreLabel_value(facts[i]).size + 2;
    }
    labels = tk_alloc(size + text);
    if (labels == NULL) {
        return NULL;
    }
    at = (char *)labels + size;
    labels->count = count;
    for (i = 0; i < count; i++) {
        labels->all[i].key = put_text(&at, metapb_StoreLabel_key(facts[i]));
        labels->all[i].value =
            put_text(&at, metapb_StoreLabel_value(facts[i]));
    }
    return labels;
}

/* TiFlash is a peer like others for PD, but speaks another language. */
static bool
is_columnar(const metapb_StoreLabel *const *labels, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (is_text("engine", metapb_StoreLabel_key(labels[i])) &&
            (is_text("tiflash", metapb_StoreLabel_value(labels[i])) ||
             is_text("tiflash_compute",
                     metapb_StoreLabel_value(labels[i])))) {
            return true;
        }
    }
    return false;
}

bool
tk_store_take_labels(struct tk_stores *stores, struct tk_store_slot *slot,
                     const struct metapb_Store *facts)
{
    size_t count;
    const metapb_StoreLabel *const *labels =
        metapb_Store_labels(facts, &count);
    struct tk_labels *copy;

    if (are_labels(atomic_load(&slot->store.labels), labels, count)) {
        return true;
    }
    atomic_store(&slot->store.is_foreign, is_columnar(labels, count));
    copy = copy_labels(labels, count);
    if (copy == NULL) {
        return false;
    }
    tk_mutex_lock(&stores->lock);
    copy->older = atomic_load(&slot->store.labels);
    atomic_store_explicit(&slot->store.labels, copy, memory_order_release);
    tk_mutex_unlock(&stores->lock);
    return true;
}

void
tk_store_free_labels(struct tk_store_slot *slot)
{
    const struct tk_labels *labels = atomic_load(&slot->store.labels);

    while (labels != NULL) {
        const struct tk_labels *older = labels->older;

        tk_free((void *)(uintptr_t)labels);
        labels = older;
    }
}

bool
tk_store_is_far(const struct tk_store *store, const struct tk_config *config)
{
    const struct tk_labels *has;
    size_t i;

    if (config->client_zone[0] == '\0') {
        return false;
    }
    has = atomic_load_explicit(&store->labels, memory_order_acquire);
    for (i = 0; has != NULL && i < has->count; i++) {
        if (strcmp(has->all[i].key, "zone") == 0) {
            return strcmp(has->all[i].value, config->client_zone) != 0;
        }
    }
    return false;
}

bool
tk_store_has_labels(const struct tk_store *store,
                    const struct tk_label *labels, size_t count)
{
    const struct tk_labels *has =
        atomic_load_explicit(&store->labels, memory_order_acquire);
    size_t i;

    for (i = 0; i < count; i++) {
        size_t at = 0;

        while (has != NULL && at < has->count &&
               (strcmp(has->all[at].key, labels[i].key) != 0 ||
                strcmp(has->all[at].value, labels[i].value) != 0)) {
            at++;
        }
        if (has == NULL || at == has->count) {
            return false;
        }
    }
    return true;
}
