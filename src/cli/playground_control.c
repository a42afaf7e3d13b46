/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a running playground, one a line, each answered by one line,
 * "ok ..." or "error ...". The table is the language; a word in capitals is
 * an argument. One thread.
 */
#include "playground.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

struct request {
    tikv_cluster *cluster;
    size_t count; /* of words */
    char *words[WORDS_MAX];
    const char *rest; /* of the line after the first word */
};

struct command {
    const char *words; /* the fixed ones */
    const char *usage;
    size_t least; /* words in all */
    size_t most;
    bool (*run)(struct request *);
};

bool
playground_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; text[i] != '\0'; i++) {
        unsigned digit = (unsigned)(text[i] - '0');

        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return i > 0 && number >= low && number <= high;
}

static bool
complain(const char *what)
{
    (void)printf("error %s\n", what);
    return true;
}

/* Takes the error. */
static bool
answer(tikv_error *error)
{
    if (error == NULL) {
        (void)printf("ok\n");
    } else {
        complain(tikv_error_message(error));
        tikv_error_free(error);
    }
    return true;
}

static bool
answer_number(uint64_t number)
{
    (void)printf("ok %" PRIu64 "\n", number);
    return true;
}

static int
hex_digit(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    letter = (char)tolower((unsigned char)letter);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* In place: the key is shorter than its text. */
static bool
read_key(char *text, tikv_slice *key)
{
    size_t len = strlen(text);
    size_t i;

    for (i = 0; i < len; i += 2) {
        int high = hex_digit(text[i]);
        int low = high < 0 ? -1 : hex_digit(text[i + 1]);

        if (low < 0) {
            (void)printf("error not a key in hex\n");
            return false;
        }
        text[i / 2] = (char)(high << 4 | low);
    }
    *key = (tikv_slice){ (const uint8_t *)text, len / 2 };
    return true;
}

static bool
read_number(const char *text, uint64_t high, uint64_t *out)
{
    if (!playground_number(text, 0, high, out)) {
        (void)printf("error not a number: %s\n", text);
        return false;
    }
    return true;
}

static bool
run_split(struct request *request)
{
    tikv_slice key;

    return !read_key(request->words[1], &key) ||
           answer(tikv_cluster_split(request->cluster, key));
}

static bool
run_split_txn(struct request *request)
{
    tikv_slice key;

    return !read_key(request->words[2], &key) ||
           answer(tikv_cluster_split_txn(request->cluster, key));
}

static bool
run_merge(struct request *request)
{
    tikv_slice key;

    return !read_key(request->words[1], &key) ||
           answer(tikv_cluster_merge(request->cluster, key));
}

static bool
run_region(struct request *request)
{
    tikv_slice key = { (const uint8_t *)"", 0 };

    if (request->count > 1 && !read_key(request->words[1], &key)) {
        return true;
    }
    return answer_number(tikv_cluster_region_of(request->cluster, key));
}

static bool
run_regions(struct request *request)
{
    return answer_number(tikv_cluster_regions_count(request->cluster));
}

static bool
run_leader(struct request *request)
{
    uint64_t region;

    return !read_number(request->words[1], UINT64_MAX, &region) ||
           answer_number(tikv_cluster_leader_of(request->cluster, region));
}

static bool
run_transfer(struct request *request)
{
    uint64_t region;
    uint64_t store;

    if (!read_number(request->words[1], UINT64_MAX, &region) ||
        !read_number(request->words[2], UINT64_MAX, &store)) {
        return true;
    }
    return answer(
        tikv_cluster_transfer_leader(request->cluster, region, store));
}

static bool
run_store_stop(struct request *request)
{
    uint64_t store;

    return !read_number(request->words[2], UINT64_MAX, &store) ||
           answer(tikv_cluster_store_stop(request->cluster, store));
}

static bool
run_store_start(struct request *request)
{
    bool new_port = request->count > 3;
    uint64_t store;

    if (new_port && strcmp(request->words[3], "new") != 0) {
        return complain("usage: store start N [new]");
    }
    return !read_number(request->words[2], UINT64_MAX, &store) ||
           answer(tikv_cluster_store_start(request->cluster, store, new_port));
}

static bool
run_store_remove(struct request *request)
{
    uint64_t store;

    return !read_number(request->words[2], UINT64_MAX, &store) ||
           answer(tikv_cluster_store_remove(request->cluster, store));
}

static bool
run_store_swap(struct request *request)
{
    uint64_t a;
    uint64_t b;

    return !read_number(request->words[2], UINT64_MAX, &a) ||
           !read_number(request->words[3], UINT64_MAX, &b) ||
           answer(tikv_cluster_store_swap(request->cluster, a, b));
}

static bool
run_store_address(struct request *request)
{
    char address[64];
    uint64_t store;

    if (!read_number(request->words[2], UINT64_MAX, &store)) {
        return true;
    }
    if (!tikv_cluster_store_address(request->cluster, store, address,
                                    sizeof(address))) {
        return complain("no such store");
    }
    (void)printf("ok %s\n", address);
    return true;
}

static bool
run_pd_stop(struct request *request)
{
    uint64_t member;

    return !read_number(request->words[2], UINT32_MAX, &member) ||
           answer(tikv_cluster_pd_stop(request->cluster, (uint32_t)member));
}

static bool
run_pd_start(struct request *request)
{
    uint64_t member;

    return !read_number(request->words[2], UINT32_MAX, &member) ||
           answer(tikv_cluster_pd_start(request->cluster, (uint32_t)member));
}

static bool
run_pd_transfer(struct request *request)
{
    uint64_t member;

    return !read_number(request->words[2], UINT32_MAX, &member) ||
           answer(tikv_cluster_pd_transfer(request->cluster, (uint32_t)member));
}

static bool
run_pd_leaderless(struct request *request)
{
    tikv_cluster_pd_leaderless(request->cluster);
    return answer(NULL);
}

static bool
run_pd_leader(struct request *request)
{
    uint32_t member = tikv_cluster_pd_leader(request->cluster);

    if (member == UINT32_MAX) {
        (void)printf("ok none\n");
        return true;
    }
    return answer_number(member);
}

/* NAME, then KEY=VALUE as often as wanted. */
static bool
run_keyspace(struct request *request)
{
    const char *config[2 * WORDS_MAX + 1] = { NULL };
    uint32_t id = 0;
    tikv_error *error;
    size_t i;

    for (i = 2; i < request->count; i++) {
        char *value = strchr(request->words[i], '=');

        if (value == NULL) {
            return complain("usage: keyspace NAME [KEY=VALUE]...");
        }
        *value = '\0';
        config[2 * (i - 2)] = request->words[i];
        config[2 * (i - 2) + 1] = value + 1;
    }
    error = tikv_cluster_keyspace(request->cluster, request->words[1], config,
                                  &id);
    return error != NULL ? answer(error) : answer_number(id);
}

static bool
run_set(struct request *request)
{
    uint64_t value;

    return !read_number(request->words[2], UINT64_MAX, &value) ||
           answer(tikv_cluster_set(request->cluster, request->words[1],
                                   value));
}

static bool
run_gc(struct request *request)
{
    uint64_t safe_point;

    if (read_number(request->words[1], UINT64_MAX, &safe_point)) {
        tikv_cluster_gc(request->cluster, safe_point);
        (void)printf("ok\n");
    }
    return true;
}

static bool
run_fault_clear(struct request *request)
{
    uint64_t id = 0;

    if (request->count > 2 &&
        !read_number(request->words[2], UINT64_MAX, &id)) {
        return true;
    }
    tikv_cluster_fault_remove(request->cluster, id);
    return answer(NULL);
}

static bool
run_fault_hits(struct request *request)
{
    uint64_t id;

    return !read_number(request->words[2], UINT64_MAX, &id) ||
           answer_number(tikv_cluster_fault_hits(request->cluster, id));
}

static bool
run_fault(struct request *request)
{
    uint64_t id = 0;
    tikv_error *error =
        tikv_cluster_fault(request->cluster, request->rest, &id);

    return error != NULL ? answer(error) : answer_number(id);
}

static bool
run_calls(struct request *request)
{
    return answer_number(tikv_cluster_calls(
        request->cluster, request->count > 1 ? request->words[1] : NULL));
}

static bool
run_quit(struct request *request)
{
    (void)request;
    (void)printf("ok\n");
    return false;
}

/* The first that fits is taken: longer beginnings come first. */
static const struct command commands[] = {
    { "split txn", "split txn HEXKEY", 3, 3, run_split_txn },
    { "split", "split HEXKEY", 2, 2, run_split },
    { "merge", "merge HEXKEY", 2, 2, run_merge },
    { "regions", "regions", 1, 1, run_regions },
    { "region", "region [HEXKEY]", 1, 2, run_region },
    { "leader", "leader REGION", 2, 2, run_leader },
    { "transfer", "transfer REGION STORE", 3, 3, run_transfer },
    { "store stop", "store stop N", 3, 3, run_store_stop },
    { "store start", "store start N [new]", 3, 4, run_store_start },
    { "store remove", "store remove N", 3, 3, run_store_remove },
    { "store swap", "store swap A B", 4, 4, run_store_swap },
    { "store address", "store address N", 3, 3, run_store_address },
    { "pd stop", "pd stop N", 3, 3, run_pd_stop },
    { "pd start", "pd start N", 3, 3, run_pd_start },
    { "pd transfer", "pd transfer N", 3, 3, run_pd_transfer },
    { "pd leaderless", "pd leaderless", 2, 2, run_pd_leaderless },
    { "pd leader", "pd leader", 2, 2, run_pd_leader },
    { "keyspace", "keyspace NAME [KEY=VALUE]...", 2, WORDS_MAX, run_keyspace },
    { "set", "set NAME VALUE", 3, 3, run_set },
    { "gc", "gc TIMESTAMP", 2, 2, run_gc },
    { "fault clear", "fault clear [ID]", 2, 3, run_fault_clear },
    { "fault hits", "fault hits ID", 3, 3, run_fault_hits },
    { "fault", "fault RULE", 2, WORDS_MAX + 1, run_fault },
    { "calls", "calls [METHOD]", 1, 2, run_calls },
    { "quit", "quit", 1, 1, run_quit },
};

/* Whether the line begins with the fixed words of the command. */
static bool
begins_with(const struct request *request, const char *words)
{
    size_t i;

    for (i = 0; *words != '\0'; i++) {
        size_t len = strcspn(words, " ");

        if (i >= request->count || strlen(request->words[i]) != len ||
            memcmp(request->words[i], words, len) != 0) {
            return false;
        }
        words += len;
        words += *words == ' ' ? 1 : 0;
    }
    return true;
}

/* Cuts `copy` into words; one more than fit is counted. */
static void
cut(struct request *request, char *copy)
{
    char *rest = copy;
    char *word;

    while ((word = strtok_r(rest, " \t", &rest)) != NULL) {
        if (request->count == WORDS_MAX) {
            request->count++;
            return;
        }
        request->words[request->count++] = word;
    }
}

bool
playground_command(tikv_cluster *cluster, char *line)
{
    struct request request = { .cluster = cluster };
    char *copy;
    size_t i;

    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#') {
        return true;
    }
    copy = strdup(line);
    if (copy == NULL) {
        return complain("no memory");
    }
    request.rest = line + strcspn(line, " \t");
    request.rest += strspn(request.rest, " \t");
    cut(&request, copy);
    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *command = &commands[i];
        bool go_on;

        if (!begins_with(&request, command->words)) {
            continue;
        }
        go_on = true;
        if (request.count < command->least || request.count > command->most) {
            (void)printf("error usage: %s\n", command->usage);
        } else {
            go_on = command->run(&request);
        }
        free(copy);
        return go_on;
    }
    (void)printf("error unknown command: %s\n", request.words[0]);
    free(copy);
    return true;
}
