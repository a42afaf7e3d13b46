/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money moves between accounts while rules break things: a small two-phase
 * commit of the test's own, a few transactions interleaved by a seed, every
 * step one request. Whatever happens to requests, no snapshot shows money
 * made or lost, what was acknowledged stays, and a transaction ends the same
 * way on all its keys.
 */
#ifndef TK_TEST_BANK_H
#define TK_TEST_BANK_H

#include "base/rng.h"
#include "fixture/script.h"
#include "fixture/way.h"

enum {
    BANK_ACCOUNTS = 8,
    BANK_EACH = 100,
    BANK_TELLERS = 4,
    BANK_STEPS = 120,
    BANK_TTL = 30,
    BANK_TRIES = 60,
    BANK_TXNS = 1000
};

enum bank_state { BANK_IDLE, BANK_PREWRITE, BANK_PRIMARY, BANK_SECONDARY };

struct bank_teller {
    enum bank_state state;
    uint64_t start;
    uint64_t commit;
    char from;
    char to;
    int amounts[2];
};

struct bank {
    struct script *script;
    struct tk_rng rng;
    uint64_t now; /* physical parts of timestamps */
    struct bank_teller tellers[BANK_TELLERS];
    struct {
        uint64_t start;
        uint64_t commit;
        char key;
    } acknowledged[BANK_TXNS];
    size_t count;
    size_t moved;
    char line[256];
    char answer[SCRIPT_TEXT];
};

static bool
bank_is(const struct bank *bank, const char *prefix)
{
    return strncmp(bank->answer, prefix, strlen(prefix)) == 0;
}

/* One request until it is answered by the store; false: in the end it was
 * not. */
static bool
bank_ask(struct bank *bank, const char *format, ...)
{
    struct tk_cluster *cluster = bank->script->fx.cluster;
    va_list args;
    int tries;

    va_start(args, format);
    (void)vsnprintf(bank->line, sizeof(bank->line), format, args);
    va_end(args);
    for (tries = 0; tries < BANK_TRIES; tries++) {
        int waits = 0;

        while (tk_cluster_pd_leader(cluster) == UINT32_MAX) {
            fx_wait(&bank->script->fx, 10);
        }
        script_say(bank->script, bank->line, bank->answer);
        while (strcmp(bank->answer, "wait") == 0 && waits++ < BANK_TRIES) {
            fx_wait(&bank->script->fx, 10);
            script_say(bank->script, "@0", bank->answer);
        }
        if (strcmp(bank->answer, "wait") == 0) {
            way_abandon(&bank->script->fx); /* it was lost on the way */
            bank->script->slots[0].is_open = false;
        } else if (!bank_is(bank, "region:") && !bank_is(bank, "dropped") &&
                   !bank_is(bank, "status:")) {
            return true;
        }
        bank->now++;
    }
    return false;
}

/* "... KEY@START put pk=P ...": asks what became of it, and ends it. */
static void
bank_resolve(struct bank *bank)
{
    const char *locked = strstr(bank->answer, "locked ");
    char key = locked[7];
    uint64_t start = strtoull(locked + 9, NULL, 10);
    char primary = strstr(locked, "pk=")[3];
    const char *commit;
    uint64_t commit_ts = 0;

    bank->now += BANK_TTL / 4;
    if (!bank_ask(bank, "CTS %c %llu.0 %llu.0 %llu.0 : rine", primary,
                  (unsigned long long)start, (unsigned long long)bank->now,
                  (unsigned long long)bank->now) ||
        strstr(bank->answer, "ttl=") != NULL) {
        return;
    }
    commit = strstr(bank->answer, "commit=");
    if (commit != NULL) {
        commit_ts = strtoull(commit + 7, NULL, 10);
    }
    (void)bank_ask(bank,
                   commit_ts == 0 ? "RL %c %llu.0:0" : "RL %c %llu.0:%llu.0",
                   key, (unsigned long long)start,
                   (unsigned long long)commit_ts);
}

static int
bank_amount(struct bank *bank, char key, uint64_t ts)
{
    int tries;

    for (tries = 0; tries < BANK_TRIES; tries++) {
        if (!bank_ask(bank, "G %c %llu.0", key, (unsigned long long)ts)) {
            continue;
        }
        if (!bank_is(bank, "locked ")) {
            return (int)strtol(bank->answer, NULL, 10);
        }
        bank_resolve(bank);
    }
    return -1;
}

/* A snapshot shows all the money, and the same when it is taken again. */
static void
bank_audit(struct bank *bank)
{
    uint64_t ts = ++bank->now;
    int amounts[BANK_ACCOUNTS];
    int sum = 0;

    for (int i = 0; i < BANK_ACCOUNTS; i++) {
        amounts[i] = bank_amount(bank, (char)('a' + i), ts);
        if (amounts[i] < 0) {
            return; /* not to be had, now */
        }
        sum += amounts[i];
    }
    assert_int_equal(sum, BANK_ACCOUNTS * BANK_EACH);
    for (int i = 0; i < BANK_ACCOUNTS; i++) {
        int again = bank_amount(bank, (char)('a' + i), ts);

        assert_true(again < 0 || again == amounts[i]);
    }
}

static void
bank_begin(struct bank *bank, struct bank_teller *teller)
{
    teller->start = ++bank->now;
    teller->from = (char)('a' + tk_rng_below(&bank->rng, BANK_ACCOUNTS));
    do {
        teller->to = (char)('a' + tk_rng_below(&bank->rng, BANK_ACCOUNTS));
    } while (teller->to == teller->from);
    teller->amounts[0] = bank_amount(bank, teller->from, teller->start);
    teller->amounts[1] = bank_amount(bank, teller->to, teller->start);
    if (teller->amounts[0] > 0 && teller->amounts[1] >= 0) {
        int some =
            1 + (int)tk_rng_below(&bank->rng, (uint64_t)teller->amounts[0]);

        teller->amounts[0] -= some;
        teller->amounts[1] += some;
        teller->state = BANK_PREWRITE;
    }
}

static void
bank_prewrite(struct bank *bank, struct bank_teller *teller)
{
    bool is_answered = bank_ask(
        bank, "PW %llu.0 %c=%d %c=%d : pk=%c ttl=%d retry",
        (unsigned long long)teller->start, teller->from, teller->amounts[0],
        teller->to, teller->amounts[1], teller->from, BANK_TTL);

    /* Two regions: each takes its own. */
    for (int i = 0; i < 2; i++) {
        is_answered = bank_ask(bank, "PW %llu.0 %c=%d : pk=%c ttl=%d retry",
                               (unsigned long long)teller->start,
                               i == 0 ? teller->from : teller->to,
                               teller->amounts[i], teller->from, BANK_TTL);
        if (!is_answered || !bank_is(bank, "ok")) {
            break;
        }
    }
    if (is_answered && bank_is(bank, "ok")) {
        teller->commit = ++bank->now;
        teller->state = BANK_PRIMARY;
        return;
    }
    if (is_answered && strstr(bank->answer, "locked ") != NULL) {
        bank_resolve(bank);
    }
    (void)bank_ask(bank, "RB %llu.0 %c", (unsigned long long)teller->start,
                   teller->from);
    (void)bank_ask(bank, "RB %llu.0 %c", (unsigned long long)teller->start,
                   teller->to);
    teller->state = BANK_IDLE;
}

static void
bank_commit(struct bank *bank, struct bank_teller *teller)
{
    bool is_primary = teller->state == BANK_PRIMARY;
    char key = is_primary ? teller->from : teller->to;
    bool is_done = bank_ask(bank, "C %llu.0 %llu.0 %c",
                            (unsigned long long)teller->start,
                            (unsigned long long)teller->commit, key) &&
                   bank->answer[0] >= '0' && bank->answer[0] <= '9';

    if (is_done && bank->count < BANK_TXNS) {
        bank->acknowledged[bank->count].start = teller->start;
        bank->acknowledged[bank->count].commit = teller->commit;
        bank->acknowledged[bank->count++].key = key;
    }
    bank->moved += is_done && !is_primary;
    teller->state = is_done && is_primary ? BANK_SECONDARY : BANK_IDLE;
}

static void
bank_step(struct bank *bank)
{
    struct bank_teller *teller =
        &bank->tellers[tk_rng_below(&bank->rng, BANK_TELLERS)];

    switch (teller->state) {
    case BANK_IDLE:
        bank_begin(bank, teller);
        break;
    case BANK_PREWRITE:
        bank_prewrite(bank, teller);
        break;
    case BANK_PRIMARY:
    case BANK_SECONDARY:
        bank_commit(bank, teller);
        break;
    }
}

/* Healed: no lock stays, and all that was said is so. */
static void
bank_close(struct bank *bank)
{
    struct fx *fx = &bank->script->fx;
    char record[64];

    tk_cluster_fault_remove(fx->cluster, 0);
    fx_wait(fx, 2000);
    for (tk_node store = 1; store <= 3; store++) {
        assert_true(tk_cluster_is_up(fx->cluster, TK_NODE_STORE | store));
    }
    bank->now += 10 * BANK_TTL;
    bank_audit(bank);
    for (size_t i = 0; i < bank->count; i++) {
        assert_true(bank_ask(bank, "M %c", bank->acknowledged[i].key));
        assert_null(strstr(bank->answer, "lock("));
        (void)snprintf(record, sizeof(record), "%llu.0:put@%llu.0=",
                       (unsigned long long)bank->acknowledged[i].commit,
                       (unsigned long long)bank->acknowledged[i].start);
        if (strstr(bank->answer, record) == NULL) {
            fail_msg("%c lost %s: %s", bank->acknowledged[i].key, record,
                     bank->answer);
        }
        (void)snprintf(record, sizeof(record), ":rb@%llu.0",
                       (unsigned long long)bank->acknowledged[i].start);
        assert_null(strstr(bank->answer, record));
    }
}

static size_t
bank_run(struct script *script, const char *preset, uint64_t seed)
{
    static struct bank bank;
    uint64_t hits = 0;

    memset(&bank, 0, sizeof(bank));
    bank.script = script;
    bank.rng.state = seed;
    bank.now = 1000 * seed;
    for (int i = 0; i < BANK_ACCOUNTS; i++) {
        assert_true(bank_ask(&bank, "PW %llu.0 %c=%d",
                             (unsigned long long)bank.now, 'a' + i,
                             BANK_EACH));
        assert_true(bank_ask(&bank, "C %llu.0 %llu.1 %c",
                             (unsigned long long)bank.now,
                             (unsigned long long)bank.now, 'a' + i));
    }
    assert_null(tk_cluster_nemesis(script->fx.cluster, preset, 60, seed));
    for (int i = 0; i < BANK_STEPS; i++) {
        bank_step(&bank);
        if (i % 20 == 19) {
            bank_audit(&bank);
        }
    }
    for (size_t i = 0;; i++) {
        struct tk_buf text;
        uint64_t id;
        uint64_t some;
        bool is_there;

        tk_buf_init(&text, 4096);
        is_there = tk_cluster_fault_at(script->fx.cluster, i, &id, &some,
                                       &text);
        tk_buf_fini(&text);
        if (!is_there) {
            break;
        }
        hits += some;
    }
    assert_true((hits > 0) == (strcmp(preset, "calm") != 0));
    bank_close(&bank);
    return bank.moved;
}

static void
bank_under_presets(struct script *script)
{
    const char *preset;

    for (size_t i = 0; (preset = tk_cluster_nemesis_name(i)) != NULL; i++) {
        size_t moved = bank_run(script, preset, i + 1);

        if (moved == 0) {
            fail_msg("%s: no money moved", preset);
        }
    }
}

#endif
