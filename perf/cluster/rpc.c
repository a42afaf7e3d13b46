/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same over C core: a few threads, each with a connection and a stream
 * of its own that keeps a few messages on their way.
 */
#include "perf_cluster.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/inner.h"
#include "fixture/grpc_client.h"
#include "perf_histogram.h"
#include "perf_usage.h"

#define BATCH_PATH "/tikvpb.Tikv/BatchCommands"
#define LONG_MS 600000
#define SHORT_MS 20000

enum { STREAMS = 4, AHEAD = 3, MESSAGES = 32, WAITERS = 100, UNARY = 16,
       TXN_BATCHES = 150 };

struct sender {
    const char *path;
    char address[64];
    struct tk_buf messages[MESSAGES];
    size_t count;
    unsigned batch; /* requests a message; 0: it is not of BatchCommands */
    int64_t until;
    uint64_t answered; /* messages, or requests of them */
    pthread_t thread;
};

static void
die(const char *what)
{
    (void)fprintf(stderr, "perf-cluster: %s\n", what);
    exit(1);
}

/* Several answers may come as one message: requests are counted. */
static size_t
count_ids(const struct tk_buf *message)
{
    struct tk_buf ids;
    size_t count;

    tk_buf_init(&ids, SIZE_MAX / 4);
    if (!tk_cl_each_number(tk_buf_slice(message), 2, &ids)) {
        die("an answer that cannot be read");
    }
    count = ids.len / sizeof(uint64_t);
    tk_buf_fini(&ids);
    return count;
}

static uint64_t
each(const struct sender *sender)
{
    return sender->batch == 0 ? 1 : sender->batch;
}

static void *
run_stream(void *arg)
{
    struct sender *sender = arg;
    struct grpc_client client;
    struct grpc_client_stream stream;
    struct tk_buf out;
    size_t sent = 0;

    tk_buf_init(&out, SIZE_MAX / 4);
    grpc_client_open(&client, sender->address);
    grpc_client_stream_open(&stream, &client, sender->path, LONG_MS);
    while (usage_clock() < sender->until) {
        while (sent * each(sender) <
               sender->answered + AHEAD * each(sender)) {
            if (!grpc_client_stream_send(
                    &stream, &sender->messages[sent % sender->count])) {
                die("the stream broke");
            }
            sent++;
        }
        if (!grpc_client_stream_receive(&stream, &out)) {
            die("the stream ended");
        }
        sender->answered += sender->batch == 0 ? 1 : count_ids(&out);
    }
    (void)grpc_client_stream_end(&stream, true);
    grpc_client_close(&client);
    tk_buf_fini(&out);
    return NULL;
}

static void *
run_unary(void *arg)
{
    struct sender *sender = arg;
    struct grpc_client client;
    struct tk_buf out;

    tk_buf_init(&out, SIZE_MAX / 4);
    grpc_client_open(&client, sender->address);
    while (usage_clock() < sender->until) {
        if (grpc_client_unary(&client, sender->path, &sender->messages[0],
                              LONG_MS, &out) != 0) {
            die("a call failed");
        }
        sender->answered++;
    }
    grpc_client_close(&client);
    tk_buf_fini(&out);
    return NULL;
}

/* Messages answered a second; takes them. */
static double
send_all(struct sender *senders, size_t count, const struct run *run,
         void *(*how)(void *))
{
    int64_t began = usage_clock();
    uint64_t answered = 0;
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        senders[i].until = began + run->ns;
        if (pthread_create(&senders[i].thread, NULL, how, &senders[i]) != 0) {
            die("no thread");
        }
    }
    for (i = 0; i < count; i++) {
        (void)pthread_join(senders[i].thread, NULL);
        answered += senders[i].answered;
        for (j = 0; j < senders[i].count; j++) {
            tk_buf_fini(&senders[i].messages[j]);
        }
    }
    return (double)answered * 1e9 / (double)(usage_clock() - began);
}

static double
batches(struct bed *bed, const struct run *run, enum shape shape,
        unsigned count)
{
    static struct sender senders[STREAMS];
    uint64_t random = 88172645463325252U;
    size_t i;
    size_t j;

    memset(senders, 0, sizeof(senders));
    for (i = 0; i < STREAMS; i++) {
        senders[i].path = BATCH_PATH;
        senders[i].batch = count;
        senders[i].count = MESSAGES;
        bed_address(bed, true, senders[i].address,
                    sizeof(senders[i].address));
        for (j = 0; j < MESSAGES; j++) {
            make_batch(bed, &senders[i].messages[j], shape, count, &random);
        }
    }
    return send_all(senders, STREAMS, run, run_stream);
}

double
rpc_gets(struct bed *bed, const struct run *run)
{
    return batches(bed, run, GET, BATCH);
}

double
rpc_raw_gets(struct bed *bed, const struct run *run)
{
    return batches(bed, run, RAW_GET, BATCH);
}

double
rpc_raw_puts(struct bed *bed, const struct run *run)
{
    return batches(bed, run, RAW_PUT, BATCH);
}

double
rpc_scan(struct bed *bed, const struct run *run)
{
    return batches(bed, run, SCAN, 1) * PAGE;
}

double
rpc_unary_gets(struct bed *bed, const struct run *run)
{
    static struct sender senders[UNARY];
    struct tk_buf message;
    tikv_slice inner;
    size_t at = 0;
    size_t i;

    memset(senders, 0, sizeof(senders));
    tk_buf_init(&message, SIZE_MAX / 4);
    add_request(bed, &message, GET, 17, 100);
    /* The request itself: within its place in the batch. */
    if (!tk_cl_each(tk_buf_slice(&message), 1, &at, &inner)) {
        die("no request");
    }
    at = 0;
    if (!tk_cl_each(inner, tk_cl_method_by_label("tikv.KvGet")->slot, &at,
                    &inner)) {
        die("no request");
    }
    for (i = 0; i < UNARY; i++) {
        senders[i].path = "/tikvpb.Tikv/KvGet";
        senders[i].count = 1;
        bed_address(bed, true, senders[i].address,
                    sizeof(senders[i].address));
        tk_buf_init(&senders[i].messages[0], SIZE_MAX / 4);
        tk_buf_append_slice(&senders[i].messages[0], inner);
    }
    tk_buf_fini(&message);
    return send_all(senders, UNARY, run, run_unary);
}

/* 1024 timestamps a message, as a client's batching asks for. */
double
rpc_timestamps(struct bed *bed, const struct run *run)
{
    enum { COUNT = 1024 };
    static struct sender senders[STREAMS];
    size_t i;

    memset(senders, 0, sizeof(senders));
    for (i = 0; i < STREAMS; i++) {
        struct tk_buf *message = &senders[i].messages[0];
        size_t mark;

        senders[i].path = "/pdpb.PD/Tso";
        senders[i].count = 1;
        bed_address(bed, false, senders[i].address,
                    sizeof(senders[i].address));
        tk_buf_init(message, SIZE_MAX / 4);
        mark = tk_put_begin(message, 1);
        tk_put_u64(message, 1, tk_cluster_id(bed->core));
        tk_put_end(message, mark);
        tk_put_u64(message, 2, COUNT);
    }
    return send_all(senders, STREAMS, run, run_stream) * COUNT;
}

/* ---- transactions: each of its own timestamps, so made one by one ---- */

struct txns {
    struct bed *bed;
    char address[64];
    uint64_t first_ts;
    struct tk_buf messages[2 * TXN_BATCHES];
    pthread_t thread;
};

static void *
run_txns(void *arg)
{
    struct txns *txns = arg;
    struct grpc_client client;
    struct grpc_client_stream stream;
    struct tk_buf out;
    size_t answered = 0;
    size_t i;

    tk_buf_init(&out, SIZE_MAX / 4);
    grpc_client_open(&client, txns->address);
    grpc_client_stream_open(&stream, &client, BATCH_PATH, LONG_MS);
    for (i = 0; i < 2 * TXN_BATCHES; i++) {
        if (!grpc_client_stream_send(&stream, &txns->messages[i])) {
            die("the stream broke");
        }
        while (answered < i * BATCH) { /* all but the last message */
            if (!grpc_client_stream_receive(&stream, &out)) {
                die("the stream ended");
            }
            answered += count_ids(&out);
        }
    }
    while (answered < 2 * TXN_BATCHES * BATCH &&
           grpc_client_stream_receive(&stream, &out)) {
        answered += count_ids(&out);
    }
    (void)grpc_client_stream_end(&stream, true);
    grpc_client_close(&client);
    tk_buf_fini(&out);
    return NULL;
}

static void
make_txns(struct txns *txns, uint64_t *random)
{
    uint64_t ts = txns->first_ts;
    size_t b;
    unsigned i;

    for (b = 0; b < 2 * TXN_BATCHES; b += 2) {
        tk_buf_init(&txns->messages[b], SIZE_MAX / 4);
        tk_buf_init(&txns->messages[b + 1], SIZE_MAX / 4);
        for (i = 0; i < BATCH; i++, ts += 2) {
            uint64_t key = next_random(random) % txns->bed->keys;

            add_request(txns->bed, &txns->messages[b], PREWRITE, key, ts);
            add_request(txns->bed, &txns->messages[b + 1], COMMIT, key, ts);
        }
        end_batch(&txns->messages[b], BATCH, 1);
        end_batch(&txns->messages[b + 1], BATCH, 1);
    }
}

double
rpc_commits(struct bed *bed, const struct run *run)
{
    static struct txns all[STREAMS];
    static uint64_t ts = UINT64_C(1) << 40;
    uint64_t random = 77;
    int64_t began;
    int64_t ended;
    size_t i;
    size_t j;

    (void)run;
    for (i = 0; i < STREAMS; i++) {
        all[i].bed = bed;
        all[i].first_ts = ts;
        ts += UINT64_C(4) * TXN_BATCHES * BATCH;
        bed_address(bed, true, all[i].address, sizeof(all[i].address));
        make_txns(&all[i], &random);
    }
    began = usage_clock();
    for (i = 0; i < STREAMS; i++) {
        if (pthread_create(&all[i].thread, NULL, run_txns, &all[i]) != 0) {
            die("no thread");
        }
    }
    for (i = 0; i < STREAMS; i++) {
        (void)pthread_join(all[i].thread, NULL);
    }
    ended = usage_clock();
    for (i = 0; i < STREAMS; i++) {
        for (j = 0; j < 2 * TXN_BATCHES; j++) {
            tk_buf_fini(&all[i].messages[j]);
        }
    }
    return (double)(STREAMS * TXN_BATCHES * BATCH) * 1e9 /
           (double)(ended - began);
}

/* ---- a lock that many wait for ---- */

/* Answers of several may come as one message. */
static bool
wait_answered(struct grpc_client_stream *stream, bool answered[WAITERS + 1],
              unsigned id)
{
    struct tk_buf ids;
    struct tk_buf out;
    bool ok = true;

    tk_buf_init(&ids, SIZE_MAX / 4);
    tk_buf_init(&out, SIZE_MAX / 4);
    while (ok && !answered[id]) {
        size_t i;

        ok = grpc_client_stream_receive(stream, &out);
        tk_buf_clear(&ids);
        if (ok && tk_cl_each_number(tk_buf_slice(&out), 2, &ids)) {
            const uint64_t *list = (const uint64_t *)(const void *)ids.data;

            for (i = 0; i < ids.len / sizeof(*list); i++) {
                answered[list[i]] = true;
            }
        }
    }
    tk_buf_fini(&ids);
    tk_buf_fini(&out);
    return ok;
}

/* From a release being sent to the next one's grant being received. */
double
rpc_hand_over(struct bed *bed, const struct run *run)
{
    struct grpc_client client;
    struct grpc_client_stream waits;
    struct grpc_client_stream releases;
    struct histogram *times = calloc(1, sizeof(*times));
    struct tk_buf message;
    struct tk_buf out;
    bool answered[WAITERS + 1] = { false };
    const uint64_t key = 5;
    uint64_t ts = UINT64_C(1) << 50;
    char address[64];
    double median;
    unsigned i;

    (void)run;
    if (times == NULL) {
        die("no memory");
    }
    bed_address(bed, true, address, sizeof(address));
    tk_buf_init(&message, SIZE_MAX / 4);
    tk_buf_init(&out, SIZE_MAX / 4);
    grpc_client_open(&client, address);
    grpc_client_stream_open(&waits, &client, BATCH_PATH, SHORT_MS);
    grpc_client_stream_open(&releases, &client, BATCH_PATH, SHORT_MS);
    for (i = 0; i <= WAITERS; i++) {
        tk_buf_clear(&message);
        add_request(bed, &message, LOCK, key, ts + i);
        end_batch(&message, 1, i);
        (void)grpc_client_stream_send(&waits, &message);
        if (i == 0 && !wait_answered(&waits, answered, 0)) {
            die("no lock");
        }
    }
    for (i = 0; i < WAITERS; i++) {
        int64_t began = usage_clock();

        tk_buf_clear(&message);
        add_request(bed, &message, UNLOCK, key, ts + i);
        end_batch(&message, 1, i);
        if (!grpc_client_stream_send(&releases, &message) ||
            !wait_answered(&waits, answered, i + 1)) {
            die("no hand-over");
        }
        histogram_add(times, (uint64_t)(usage_clock() - began));
        (void)grpc_client_stream_receive(&releases, &out);
    }
    median = (double)histogram_at(times, 50) / 1000;
    (void)grpc_client_stream_end(&waits, true);
    (void)grpc_client_stream_end(&releases, true);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tk_buf_fini(&out);
    free(times);
    return median;
}
