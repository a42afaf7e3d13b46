/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of commands to a cluster, one a line, each answered by one
 * line, "ok ..." or "error ...": from C, on the standard input of
 * tikv-playground, and over HTTP. The table is the language; a word in
 * capitals is an argument; lists are JSON. Any thread.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/json.h"
#include "cluster/serve/public.h"

enum { WORDS_MAX = 8 };

struct request {
    tikv_cluster *cluster;
    struct tk_buf *out;
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

static bool
take_number(const char *text, uint64_t high, uint64_t *out)
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
    return i > 0 && number <= high;
}

static bool
complain(struct request *request, const char *what)
{
    tk_buf_printf(request->out, "error %s", what);
    return true;
}

/* Takes the error. */
static bool
answer(struct request *request, tikv_error *error)
{
    if (error == NULL) {
        tk_buf_printf(request->out, "ok");
    } else {
        complain(request, tikv_error_message(error));
        tikv_error_free(error);
    }
    return true;
}

static bool
answer_number(struct request *request, uint64_t number)
{
    tk_buf_printf(request->out, "ok %" PRIu64 "", number);
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
read_key(struct request *request, char *text, tikv_slice *key)
{
    size_t len = strlen(text);
    size_t i;

    for (i = 0; i < len; i += 2) {
        int high = hex_digit(text[i]);
        int low = high < 0 ? -1 : hex_digit(text[i + 1]);

        if (low < 0) {
            tk_buf_printf(request->out, "error not a key in hex");
            return false;
        }
        text[i / 2] = (char)(high << 4 | low);
    }
    *key = (tikv_slice){ (const uint8_t *)text, len / 2 };
    return true;
}

static bool
read_number(struct request *request, const char *text, uint64_t high,
            uint64_t *out)
{
    if (!take_number(text, high, out)) {
        tk_buf_printf(request->out, "error not a number: %s", text);
        return false;
    }
    return true;
}

static bool
run_split(struct request *request)
{
    tikv_slice key;

    return !read_key(request, request->words[1], &key) ||
           answer(request, tikv_cluster_split(request->cluster, key));
}

static bool
run_split_txn(struct request *request)
{
    tikv_slice key;

    return !read_key(request, request->words[2], &key) ||
           answer(request, tikv_cluster_split_txn(request->cluster, key));
}

static bool
run_merge(struct request *request)
{
    tikv_slice key;

    return !read_key(request, request->words[1], &key) ||
           answer(request, tikv_cluster_merge(request->cluster, key));
}

static bool
run_region(struct request *request)
{
    tikv_slice key = { (const uint8_t *)"", 0 };

    if (request->count > 1 && !read_key(request, request->words[1], &key)) {
        return true;
    }
    return answer_number(request,
                         tikv_cluster_region_of(request->cluster, key));
}

static bool
run_regions(struct request *request)
{
    return answer_number(request, tikv_cluster_regions_count(request->cluster));
}

static bool
run_leader(struct request *request)
{
    uint64_t region;

    return !read_number(request, request->words[1], UINT64_MAX, &region) ||
           answer_number(request,
                         tikv_cluster_leader_of(request->cluster, region));
}

static bool
run_transfer(struct request *request)
{
    uint64_t region;
    uint64_t store;

    if (!read_number(request, request->words[1], UINT64_MAX, &region) ||
        !read_number(request, request->words[2], UINT64_MAX, &store)) {
        return true;
    }
    return answer(request,
        tikv_cluster_transfer_leader(request->cluster, region, store));
}

static bool
run_store_stop(struct request *request)
{
    uint64_t store;

    return !read_number(request, request->words[2], UINT64_MAX, &store) ||
           answer(request, tikv_cluster_store_stop(request->cluster, store));
}

static bool
run_store_start(struct request *request)
{
    bool new_port = request->count > 3;
    uint64_t store;

    if (new_port && strcmp(request->words[3], "new") != 0) {
        return complain(request, "usage: store start N [new]");
    }
    return !read_number(request, request->words[2], UINT64_MAX, &store) ||
           answer(request, tikv_cluster_store_start(request->cluster, store,
                                                    new_port));
}

static bool
run_store_remove(struct request *request)
{
    uint64_t store;

    return !read_number(request, request->words[2], UINT64_MAX, &store) ||
           answer(request, tikv_cluster_store_remove(request->cluster, store));
}

static bool
run_store_swap(struct request *request)
{
    uint64_t a;
    uint64_t b;

    return !read_number(request, request->words[2], UINT64_MAX, &a) ||
           !read_number(request, request->words[3], UINT64_MAX, &b) ||
           answer(request, tikv_cluster_store_swap(request->cluster, a, b));
}

static bool
run_store_address(struct request *request)
{
    char address[64];
    uint64_t store;

    if (!read_number(request, request->words[2], UINT64_MAX, &store)) {
        return true;
    }
    if (!tikv_cluster_store_address(request->cluster, store, address,
                                    sizeof(address))) {
        return complain(request, "no such store");
    }
    tk_buf_printf(request->out, "ok %s", address);
    return true;
}

static bool
run_pd_stop(struct request *request)
{
    uint64_t member;

    return !read_number(request, request->words[2], UINT32_MAX, &member) ||
           answer(request, tikv_cluster_pd_stop(request->cluster,
                                                (uint32_t)member));
}

static bool
run_pd_start(struct request *request)
{
    uint64_t member;

    return !read_number(request, request->words[2], UINT32_MAX, &member) ||
           answer(request, tikv_cluster_pd_start(request->cluster,
                                                 (uint32_t)member));
}

static bool
run_pd_transfer(struct request *request)
{
    uint64_t member;

    return !read_number(request, request->words[2], UINT32_MAX, &member) ||
           answer(request, tikv_cluster_pd_transfer(request->cluster,
                                                    (uint32_t)member));
}

static bool
run_pd_leaderless(struct request *request)
{
    tikv_cluster_pd_leaderless(request->cluster);
    return answer(request, NULL);
}

static bool
run_pd_leader(struct request *request)
{
    uint32_t member = tikv_cluster_pd_leader(request->cluster);

    if (member == UINT32_MAX) {
        tk_buf_printf(request->out, "ok none");
        return true;
    }
    return answer_number(request, member);
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
            return complain(request, "usage: keyspace NAME [KEY=VALUE]...");
        }
        *value = '\0';
        config[2 * (i - 2)] = request->words[i];
        config[2 * (i - 2) + 1] = value + 1;
    }
    error = tikv_cluster_keyspace(request->cluster, request->words[1], config,
                                  &id);
    return error != NULL ? answer(request, error) : answer_number(request, id);
}

static bool
run_set(struct request *request)
{
    uint64_t value;

    return !read_number(request, request->words[2], UINT64_MAX, &value) ||
           answer(request, tikv_cluster_set(request->cluster, request->words[1],
                                   value));
}

static bool
run_gc(struct request *request)
{
    uint64_t safe_point;

    if (read_number(request, request->words[1], UINT64_MAX, &safe_point)) {
        tikv_cluster_gc(request->cluster, safe_point);
        tk_buf_printf(request->out, "ok");
    }
    return true;
}

static bool
run_fault_clear(struct request *request)
{
    uint64_t id = 0;

    if (request->count > 2 &&
        !read_number(request, request->words[2], UINT64_MAX, &id)) {
        return true;
    }
    tikv_cluster_fault_remove(request->cluster, id);
    return answer(request, NULL);
}

static bool
run_fault_hits(struct request *request)
{
    uint64_t id;

    return !read_number(request, request->words[2], UINT64_MAX, &id) ||
           answer_number(request,
                         tikv_cluster_fault_hits(request->cluster, id));
}

static bool
run_fault(struct request *request)
{
    uint64_t id = 0;
    tikv_error *error =
        tikv_cluster_fault(request->cluster, request->rest, &id);

    return error != NULL ? answer(request, error) : answer_number(request, id);
}

static bool
run_calls(struct request *request)
{
    return answer_number(request, tikv_cluster_calls(
        request->cluster, request->count > 1 ? request->words[1] : NULL));
}

/* ---- lists ---- */

static bool
run_faults(struct request *request)
{
    struct tk_buf *out = request->out;
    struct tk_buf text;
    uint64_t id = 0;
    uint64_t hits = 0;
    size_t i;

    tk_buf_init(&text, SIZE_MAX / 4);
    tk_buf_append_text(out, "ok [");
    for (i = 0; tk_cluster_fault_at(request->cluster->core, i, &id, &hits,
                                    &text);
         i++) {
        tk_buf_printf(out, "%s{\"id\":%" PRIu64 ",\"hits\":%" PRIu64
                           ",\"rule\":",
                      i == 0 ? "" : ",", id, hits);
        tk_json_put(out, tk_buf_slice(&text));
        tk_buf_append_text(out, "}");
    }
    tk_buf_append_text(out, "]");
    tk_buf_fini(&text);
    return true;
}

struct listing {
    struct tk_buf *out;
    const char *method; /* NULL: all */
    bool any;
};

static void
list_seen(void *arg, const char *method, const char *what, uint64_t count)
{
    struct listing *listing = arg;

    if (listing->method != NULL && strcmp(listing->method, method) != 0) {
        return;
    }
    tk_buf_printf(listing->out,
                  "%s{\"method\":\"%s\",\"what\":\"%s\",\"count\":%" PRIu64
                  "}",
                  listing->any ? "," : "", method, what, count);
    listing->any = true;
}

static bool
run_seen(struct request *request)
{
    struct listing listing = {
        .out = request->out,
        .method = request->count > 1 ? request->words[1] : NULL,
    };

    tk_buf_append_text(request->out, "ok [");
    tk_cluster_seen_each(request->cluster->core, list_seen, &listing);
    tk_buf_append_text(request->out, "]");
    return true;
}

/* ---- barriers, nemeses, the network ---- */

static bool
run_barrier(struct request *request)
{
    return answer_number(
        request, tk_cluster_barrier_waiting(request->cluster->core,
                                            request->words[1]));
}

static bool
run_release(struct request *request)
{
    const char *action = request->count > 2 ? request->words[2] : NULL;
    uint64_t count = 0;
    tikv_error *error = tikv_cluster_barrier_release(
        request->cluster, request->words[1], action, &count);

    return error != NULL ? answer(request, error)
                         : answer_number(request, count);
}

static bool
run_nemesis(struct request *request)
{
    uint64_t intensity = 50;
    uint64_t seed = 0;

    if ((request->count > 2 &&
         !read_number(request, request->words[2], 100, &intensity)) ||
        (request->count > 3 &&
         !read_number(request, request->words[3], UINT64_MAX, &seed))) {
        return true;
    }
    return answer(request, tikv_cluster_nemesis(request->cluster,
                                                request->words[1],
                                                (uint32_t)intensity, seed));
}

static bool
run_version(struct request *request)
{
    return answer(request,
                  tk_cluster_version(request->cluster->core,
                                     request->words[1]));
}

static bool
run_partition(struct request *request)
{
    bool rejects =
        request->count > 3 && strcmp(request->words[3], "reject") == 0;
    uint64_t id = 0;
    tikv_error *error;

    if (request->count > 3 && !rejects &&
        strcmp(request->words[3], "drop") != 0) {
        return complain(request, "usage: partition A B [drop|reject]");
    }
    error = tikv_cluster_partition(request->cluster, request->words[1],
                                   request->words[2], rejects, &id);
    return error != NULL ? answer(request, error) : answer_number(request, id);
}

static bool
run_heal(struct request *request)
{
    uint64_t id = 0;

    if (request->count > 1 &&
        !read_number(request, request->words[1], UINT64_MAX, &id)) {
        return true;
    }
    tikv_cluster_heal(request->cluster, id);
    return answer(request, NULL);
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
    { "faults", "faults", 1, 1, run_faults },
    { "fault", "fault RULE", 2, WORDS_MAX + 1, run_fault },
    { "barrier", "barrier NAME", 2, 2, run_barrier },
    { "release", "release NAME [ACTION]", 2, 3, run_release },
    { "nemesis", "nemesis PRESET [INTENSITY [SEED]]", 2, 4, run_nemesis },
    { "version", "version latest|5.4", 2, 2, run_version },
    { "partition", "partition A B [drop|reject]", 3, 4, run_partition },
    { "heal", "heal [ID]", 1, 2, run_heal },
    { "seen", "seen [METHOD]", 1, 2, run_seen },
    { "calls", "calls [METHOD]", 1, 2, run_calls },
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

static void
run_line(tikv_cluster *cluster, const char *line, struct tk_buf *out)
{
    struct request request = { .cluster = cluster, .out = out };
    char *copy = tk_strdup(line);
    size_t i;

    if (copy == NULL) {
        (void)complain(&request, "no memory");
        return;
    }
    request.rest = line + strcspn(line, " \t");
    request.rest += strspn(request.rest, " \t");
    cut(&request, copy);
    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *command = &commands[i];

        if (!begins_with(&request, command->words)) {
            continue;
        }
        if (request.count < command->least || request.count > command->most) {
            tk_buf_printf(out, "error usage: %s", command->usage);
        } else {
            (void)command->run(&request);
        }
        tk_free(copy);
        return;
    }
    tk_buf_printf(out, "error unknown command: %s", request.words[0]);
    tk_free(copy);
}

void
tk_public_command(tikv_cluster *cluster, const char *line, struct tk_buf *out)
{
    size_t start = out->len;

    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#') {
        tk_buf_append_text(out, "ok");
        return;
    }
    run_line(cluster, line, out);
    /* One line, whatever a message says. */
    for (; start < out->len; start++) {
        if (out->data[start] == '\n') {
            out->data[start] = ' ';
        }
    }
}

int
tk_public_page(void *cluster, tikv_slice body, struct tk_buf *out)
{
    char *line = tk_alloc(body.len + 1);
    size_t start = out->len;
    bool is_ok;

    if (line == NULL) {
        return 500;
    }
    if (body.len > 0) {
        memcpy(line, body.data, body.len);
    }
    line[body.len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    tk_public_command(cluster, line, out);
    tk_free(line);
    is_ok = out->len >= start + 2 && memcmp(out->data + start, "ok", 2) == 0;
    tk_buf_append_text(out, "\n");
    return is_ok ? 200 : 400;
}

size_t
tikv_cluster_command(tikv_cluster *cluster, const char *line, char *buffer,
                     size_t size)
{
    struct tk_buf out;
    size_t len;

    tk_buf_init(&out, SIZE_MAX / 4);
    if (cluster == NULL || line == NULL) {
        tk_buf_append_text(&out, "error an argument is NULL");
    } else {
        tk_public_command(cluster, line, &out);
    }
    len = out.len;
    if (buffer != NULL && size > 0) {
        size_t fits = len < size ? len : size - 1;

        memcpy(buffer, out.data, fits);
        buffer[fits] = '\0';
    }
    tk_buf_fini(&out);
    return len;
}
