/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of access paths: what a selector does with a scripted sequence
 * of answers, on three stores that only exist here. A row is text:
 *
 *   mode     leader follower mixed prefer learner stale; write; label=N;
 *            timeout; threshold=N (ms); lead=N (store, else 1); forward;
 *            slow=N; alone (one replica); learner4 (a fourth store, with
 *            a learner); on: the world of the row before goes on
 *   states   in the mode, N a store: dead=N (and known to be), reborn=N
 *            (another life than the record knows, and well), down=N, moved=N,
 *            busy=N, behind=N (not ready for stale reads): what it answers
 *            follows from the state, and there are no other answers
 *   answers  one word each, see path_error(); after the last all is well
 *   path     the stores asked: 2 plain, 2r replica read, 2s stale read,
 *            2>1 through store 2 to store 1
 *   end      ok; nobody (all were asked); regroup or fail and the error
 *   pauses   kind+times, in the order of base/backoff.def
 *   stays    whether the region may still be used afterwards
 *
 * The dice always show 0: of equals the first is taken.
 */
#ifndef TK_TEST_REGION_PATHS_H
#define TK_TEST_REGION_PATHS_H

#include "harness/harness.h"

#include "base/slice.h"
#include "region/backoff.h"
#include "region/selector_inner.h"
#include "wire/arena.h"

#include "errorpb.upb.h"
#include "metapb.upb.h"

enum { PATH_STORES = 4 };

struct path {
    const char *name;
    const char *mode;
    const char *answers;
    const char *path;
    const char *end;
    const char *pauses;
    bool stays;
};

struct path_store {
    bool is_dead;
    bool is_stale; /* its life is another than the record knows */
    bool is_reborn; /* and the new one is known */
    bool is_slow;
    int64_t wait_ms;
    const char *state; /* decides on its answers, or NULL */
};

struct path_world {
    struct path_store stores[PATH_STORES];
    uint32_t count;
    uint32_t leader;
    uint32_t proxy;
    bool is_valid;
    bool wants_reload;  /* some time */
    struct tk_selector selector;
    struct tk_read_mode mode;
    char label[8]; /* the store that has it; empty: no label */
    bool has_learner;
    bool is_write;
    bool may_forward;
    uint32_t pauses[TK_BACKOFF_KINDS];
    char way[256];
};

static inline bool
path_has(const char *text, const char *word)
{
    size_t len = strlen(word);
    const char *at = text;

    while ((at = strstr(at, word)) != NULL) {
        if ((at == text || at[-1] == ' ') &&
            (at[len] == '\0' || at[len] == ' ' || word[len - 1] == '=')) {
            return true;
        }
        at += len;
    }
    return false;
}

static inline uint32_t
path_number(const char *text, const char *word, uint32_t otherwise)
{
    return path_has(text, word)
               ? (uint32_t)strtoul(strstr(text, word) + strlen(word), NULL, 10)
               : otherwise;
}

/* Each state word may come once per store: "busy=1 busy=2". */
static inline void
path_states(struct path_world *w, const char *mode)
{
    static const char *const words[] = { "dead=",  "reborn=", "down=",
                                         "moved=", "busy=",   "behind=" };
    size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *at = mode;

        while ((at = strstr(at, words[i])) != NULL) {
            struct path_store *store;

            at += strlen(words[i]);
            store = &w->stores[strtoul(at, NULL, 10) - 1];
            store->is_dead |= i == 0;
            store->is_reborn |= i == 1;
            store->is_stale |= i == 1;
            store->state = i < 2 ? store->state : words[i];
        }
    }
}

/* What a store in its state makes of a request; "" is well. */
static inline const char *
path_state_answer(const struct path_world *w, const struct tk_choice *choice)
{
    const char *state = w->stores[choice->target].state;

    if (state == NULL || (state[0] == 'b' && state[1] == 'e' &&
                          !choice->stale_read)) {
        return "";
    }
    return state[0] == 'd'   ? "failed"
           : state[0] == 'm' ? "not_found"
           : state[1] == 'u' ? "busy"
                             : "not_ready";
}

static inline void
path_begin(struct path_world *w, const char *mode)
{
    static const struct {
        const char *word;
        enum tk_read_from from;
    } froms[] = {
        { "leader", TK_READ_LEADER }, { "follower", TK_READ_FOLLOWER },
        { "mixed", TK_READ_MIXED },   { "prefer", TK_READ_PREFER_LEADER },
        { "learner", TK_READ_LEARNER },
    };
    static const struct tk_label label = { "id", "any" };
    uint32_t slow = path_number(mode, "slow=", 0);
    size_t i;

    if (!path_has(mode, "on")) {
        memset(w, 0, sizeof(*w));
        w->is_valid = true;
        w->has_learner = path_has(mode, "learner4");
        w->count = path_has(mode, "alone") ? 1 : w->has_learner ? 4 : 3;
        w->leader = path_number(mode, "lead=", 1) - 1;
        w->proxy = TK_NOBODY;
    }
    if (slow != 0) {
        w->stores[slow - 1].is_slow = true;
    }
    path_states(w, mode);
    memset(&w->mode, 0, sizeof(w->mode));
    memset(w->pauses, 0, sizeof(w->pauses));
    w->way[0] = '\0';
    for (i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
        if (path_has(mode, froms[i].word)) {
            w->mode.from = froms[i].from;
        }
    }
    w->mode.is_stale = path_has(mode, "stale");
    w->mode.leader_only = path_has(mode, "leader_only");
    w->mode.busy_threshold_ms = path_number(mode, "threshold=", 0);
    w->is_write = path_has(mode, "write");
    w->may_forward = path_has(mode, "forward");
    snprintf(w->label, sizeof(w->label), "%u",
             path_number(mode, "label=", 0) % 10);
    if (w->label[0] != '0') {
        w->mode.labels = &label;
        w->mode.labels_count = 1;
    }
    tk_selector_init(&w->selector, &w->mode, !w->is_write,
                     path_has(mode, "timeout"), w->may_forward, w->count);
}

static inline void
path_see(struct path_world *w)
{
    struct tk_selector *selector = &w->selector;
    uint32_t i;

    selector->region_is_valid = w->is_valid;
    selector->leader = w->leader;
    selector->proxy = w->proxy;
    for (i = 0; i < w->count; i++) {
        struct tk_replica *replica = &selector->replicas[i];
        const struct path_store *store = &w->stores[i];

        replica->peer_id = 100 + i;
        replica->liveness = store->is_dead ? TK_DEAD : TK_ALIVE;
        replica->is_stale = store->is_stale;
        replica->is_resolved = !store->is_stale || store->is_reborn;
        replica->is_slow = store->is_slow;
        replica->is_learner = w->has_learner && i == 3;
        replica->matches =
            w->label[0] == '0' || w->label[0] == (char)('1' + i);
        replica->wait_ms = store->wait_ms;
    }
}

/* ---- answers ---- */

enum { PATH_OK = 0, PATH_LATE = 1, PATH_FAILED = 2, PATH_ERROR = 3 };

static inline void
path_leader(errorpb_Error *error, upb_Arena *arena, uint64_t store)
{
    errorpb_NotLeader *fault = errorpb_Error_mutable_not_leader(error, arena);

    if (store != 0) {
        metapb_Peer *peer = errorpb_NotLeader_mutable_leader(fault, arena);

        metapb_Peer_set_id(peer, 99 + store);
        metapb_Peer_set_store_id(peer, store);
    }
}

static inline void
path_busy(errorpb_Error *error, upb_Arena *arena, uint32_t wait_ms,
          const char *reason)
{
    errorpb_ServerIsBusy *busy =
        errorpb_Error_mutable_server_is_busy(error, arena);

    errorpb_ServerIsBusy_set_estimated_wait_ms(busy, wait_ms);
    errorpb_ServerIsBusy_set_reason(busy, upb_StringView_FromString(reason));
}

#define PATH_PLAIN(word, field)                                                \
    if (strcmp(text, word) == 0) {                                             \
        errorpb_Error_mutable_##field(error, arena);                           \
    }

static inline void
path_error(const char *text, errorpb_Error *error, upb_Arena *arena)
{
    PATH_PLAIN("not_found", region_not_found)
    PATH_PLAIN("key_not_in", key_not_in_region)
    PATH_PLAIN("epoch", epoch_not_match)
    PATH_PLAIN("stale_command", stale_command)
    PATH_PLAIN("store_not_match", store_not_match)
    PATH_PLAIN("too_large", raft_entry_too_large)
    PATH_PLAIN("max_ts", max_timestamp_not_synced)
    PATH_PLAIN("read_index", read_index_not_ready)
    PATH_PLAIN("merging", proposal_in_merging_mode)
    PATH_PLAIN("not_ready", data_is_not_ready)
    PATH_PLAIN("not_initialized", region_not_initialized)
    PATH_PLAIN("disk_full", disk_full)
    PATH_PLAIN("recovery", RecoveryInProgress)
    PATH_PLAIN("flashback", FlashbackInProgress)
    PATH_PLAIN("not_prepared", FlashbackNotPrepared)
    PATH_PLAIN("witness", is_witness)
    PATH_PLAIN("mismatch", mismatch_peer_id)
    PATH_PLAIN("bucket", bucket_version_not_match)
    PATH_PLAIN("undetermined", undetermined_result)
    if (strncmp(text, "leader", 6) == 0) {
        path_leader(error, arena, strtoul(text + 6, NULL, 10));
    } else if (strcmp(text, "busy_late") == 0) {
        path_busy(error, arena, 0, "deadline is exceeded");
    } else if (strncmp(text, "busy", 4) == 0) {
        path_busy(error, arena, (uint32_t)strtoul(text + 4, NULL, 10), "");
    } else if (strcmp(text, "late_there") == 0) {
        errorpb_Error_set_message(
            error, upb_StringView_FromString("Deadline is exceeded"));
    } else if (strcmp(text, "odd") == 0) {
        errorpb_Error_set_message(error,
                                  upb_StringView_FromString("never seen"));
    }
}

static inline bool
path_fault(const char *text, struct tk_arena *arena,
           struct tk_region_error *fault)
{
    errorpb_Error *error = errorpb_Error_new(arena->upb);
    size_t len;
    char *bytes;

    path_error(text, error, arena->upb);
    bytes = errorpb_Error_serialize(error, arena->upb, &len);
    assert_non_null(bytes);
    assert_true(len != 0); /* a word nobody knows */
    tk_region_error(tk_slice(bytes, len), arena, fault);
    return true;
}

/* ---- the run ---- */

static inline void
path_note(struct path_world *w, const struct tk_choice *choice)
{
    size_t at = strlen(w->way);
    const char *mark = choice->replica_read ? "r"
                       : choice->stale_read ? "s"
                                            : "";

    assert_false(choice->replica_read && choice->stale_read);
    if (choice->via != TK_NOBODY) {
        snprintf(w->way + at, sizeof(w->way) - at, "%s%u>%u",
                 at == 0 ? "" : " ", choice->via + 1, choice->target + 1);
    } else {
        snprintf(w->way + at, sizeof(w->way) - at, "%s%u%s",
                 at == 0 ? "" : " ", choice->target + 1, mark);
    }
}

static inline void
path_pause(struct path_world *w, enum tk_backoff_kind kind)
{
    if (kind != TK_BACKOFF_KINDS) {
        w->pauses[kind]++;
    }
}

static inline void
path_take_choice(struct path_world *w, const struct tk_choice *choice)
{
    w->wants_reload |= choice->reload_later;
    if (choice->invalidate != TK_INVALID_OK || choice->reload_now) {
        w->is_valid = false;
    }
    if (choice->suspect != TK_NOBODY) {
        w->stores[choice->suspect].is_stale = true;
    }
    path_pause(w, choice->pause);
}

static inline void
path_take_reaction(struct path_world *w, const struct tk_reaction *reaction)
{
    if (reaction->leader != TK_NOBODY) {
        w->leader = reaction->leader;
    }
    if (reaction->suspect != TK_NOBODY) {
        w->stores[reaction->suspect].is_dead = true;
        w->stores[reaction->suspect].is_stale = true;
    }
    if (reaction->slow != TK_NOBODY) {
        w->stores[reaction->slow].is_slow = true;
    }
    if (reaction->loaded != TK_NOBODY) {
        w->stores[reaction->loaded].wait_ms = reaction->wait_ms;
    }
    if (reaction->invalidate != TK_INVALID_OK) {
        w->is_valid = false;
    }
    /* The pause before a new lookup is not the round's. */
    if (reaction->verdict == TK_VERDICT_RETRY ||
        reaction->backoff != TK_BACKOFF_REGION_MISS) {
        path_pause(w, reaction->backoff);
    }
}

static inline void
path_success(struct path_world *w)
{
    uint32_t leads = tk_selector_succeeded(&w->selector);

    if (w->selector.via != TK_NOBODY) {
        w->proxy = w->selector.via;
    }
    if (leads != TK_NOBODY) {
        w->leader = leads;
    }
}

/* The answer to a choice; "" is well. */
static inline void
path_next(const struct path_world *w, const struct tk_choice *choice,
          const char **at, char *word, size_t size)
{
    size_t len;

    *at += strspn(*at, " ");
    len = strcspn(*at, " ");
    snprintf(word, size, "%.*s", (int)len, *at);
    *at += len;
    if (len == 0) {
        snprintf(word, size, "%s", path_state_answer(w, choice));
    }
}

/* Plays all answers; how it ended goes into `end`. */
static inline void
path_play(struct path_world *w, const char *answers, char *end, size_t size)
{
    struct tk_arena *arena = tk_arena_new();
    const char *at = answers;
    unsigned steps;

    snprintf(end, size, "ok");
    for (steps = 0; steps < 64; steps++) {
        struct tk_region_error fault = { .name = "failed" };
        struct tk_reaction reaction;
        struct tk_choice choice;
        char word[32];

        path_see(w);
        tk_selector_next(&w->selector, 0, &choice);
        path_take_choice(w, &choice);
        if (choice.target == TK_NOBODY) {
            assert_non_null(choice.why);
            snprintf(end, size, "nobody");
            break;
        }
        path_note(w, &choice);
        path_next(w, &choice, &at, word, sizeof(word));
        if (word[0] == '\0') {
            path_success(w);
            break;
        }
        if (strcmp(word, "late") == 0 || strcmp(word, "failed") == 0) {
            tk_selector_failed(&w->selector, word[0] == 'l', 10, &reaction);
        } else {
            path_fault(word, arena, &fault);
            tk_selector_judge(&w->selector, &fault, 10, &reaction);
        }
        path_take_reaction(w, &reaction);
        if (reaction.verdict != TK_VERDICT_RETRY) {
            snprintf(end, size, "%s %s",
                     reaction.verdict == TK_VERDICT_REGROUP ? "regroup"
                                                            : "fail",
                     fault.name);
            break;
        }
    }
    tk_arena_unref(arena);
}

static inline void
path_pauses(const struct path_world *w, char *out, size_t size)
{
    unsigned kind;

    out[0] = '\0';
    for (kind = 0; kind < TK_BACKOFF_KINDS; kind++) {
        size_t at = strlen(out);

        if (w->pauses[kind] != 0) {
            snprintf(out + at, size - at, "%s%s+%u", at == 0 ? "" : " ",
                     tk_backoff_name((enum tk_backoff_kind)kind),
                     w->pauses[kind]);
        }
    }
}

static inline void
paths_run(struct path_world *w, const struct path *rows, size_t count)
{
    size_t i;
    bool fails = false;

    for (i = 0; i < count; i++) {
        const struct path *row = &rows[i];
        char end[64];
        char pauses[128];

        path_begin(w, row->mode);
        path_play(w, row->answers, end, sizeof(end));
        path_pauses(w, pauses, sizeof(pauses));
        if (strcmp(w->way, row->path) != 0 || strcmp(end, row->end) != 0 ||
            strcmp(pauses, row->pauses) != 0 || w->is_valid != row->stays) {
            print_error("%s [%s] after [%s]:\n  went %s, %s, [%s], %s\n"
                        "  not  %s, %s, [%s], %s\n",
                        row->name, row->mode, row->answers, w->way, end,
                        pauses, w->is_valid ? "stays" : "goes", row->path,
                        row->end, row->pauses, row->stays ? "stays" : "goes");
            fails = true;
        }
    }
    assert_false(fails);
}

#define PATHS_RUN(w, rows) paths_run(w, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
