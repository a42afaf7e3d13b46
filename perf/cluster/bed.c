/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster that is measured, and messages for it. */
#include "perf_cluster.h"

#include <stdio.h>
#include <string.h>

#include <tikv/error.h>

#include "base/slice.h"
#include "cluster/inner.h"

static bool
failed(tikv_error *error)
{
    if (error != NULL) {
        (void)fprintf(stderr, "perf-cluster: %s\n",
                      tikv_error_message(error));
        tikv_error_free(error);
    }
    return error != NULL;
}

uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

void
put_key(uint8_t key[KEY_BYTES], uint64_t number)
{
    int i;

    memcpy(key, "key-", 4);
    for (i = KEY_BYTES - 1; i >= 4; i--) {
        key[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* Into the structures: a load by requests takes longer than a row. */
static bool
load(struct bed *bed, uint64_t keys)
{
    uint8_t key[KEY_BYTES];
    uint8_t value[VALUE_BYTES];
    struct tk_mvcc_batch batch;
    struct tk_mvcc_version version;
    uint64_t i;

    memset(value, 'v', sizeof(value));
    memset(&version, 0, sizeof(version));
    version.type = TK_MVCC_PUT;
    version.start_ts = 1;
    version.commit_ts = 2;
    for (i = 0; i < keys; i++) {
        put_key(key, i);
        if (!tk_engine_put(&bed->core->engine, TK_CF_DEFAULT,
                           tk_slice(key, KEY_BYTES),
                           tk_slice(value, VALUE_BYTES), 0)) {
            return false;
        }
        version.value = tk_mvcc_value_new(tk_slice(value, VALUE_BYTES));
        tk_mvcc_batch_init(&batch, &bed->core->mvcc);
        tk_mvcc_put_version(
            &batch, tk_mvcc_batch_node(&batch, tk_slice(key, KEY_BYTES)),
            &version);
        tk_mvcc_value_unref(version.value);
        if (batch.failed) {
            tk_mvcc_drop(&batch);
            return false;
        }
        tk_mvcc_apply(&batch);
    }
    bed->keys = keys;
    return true;
}

static void
fill_context(struct bed *bed)
{
    const struct tk_cl_region *region = bed->core->regions.sorted[0];
    struct tk_buf *out = &bed->context;
    size_t mark;

    tk_buf_init(out, SIZE_MAX / 4);
    tk_put_u64(out, 1, region->id);
    mark = tk_put_begin(out, 2);
    tk_put_u64(out, 1, region->conf_ver);
    tk_put_u64(out, 2, region->version);
    tk_put_end(out, mark);
    mark = tk_put_begin(out, 3);
    tk_put_u64(out, 1, region->peers[0].id);
    tk_put_u64(out, 2, region->peers[0].store_id);
    tk_put_end(out, mark);
}

bool
bed_open(struct bed *bed, uint64_t keys, bool serves)
{
    static const struct tk_cluster_params params = { .seed = 1 };

    memset(bed, 0, sizeof(*bed));
    bed->rt = tk_runtime_posix_new();
    if (bed->rt == NULL ||
        failed(tk_cluster_new(bed->rt, &params, &bed->core)) ||
        (serves && failed(tk_serve_start(bed->rt, bed->core, 0, NULL,
                                         &bed->serve)))) {
        return false;
    }
    fill_context(bed);
    return load(bed, keys);
}

void
bed_close(struct bed *bed)
{
    tk_serve_stop(bed->serve);
    tk_cluster_free(bed->core);
    tk_serve_free(bed->serve);
    tk_runtime_posix_free(bed->rt);
    tk_buf_fini(&bed->context);
}

void
bed_address(struct bed *bed, bool store, char *buffer, size_t size)
{
    if (!tk_serve_address(bed->serve, store ? TK_NODE_STORE | 1 : 0, buffer,
                          size)) {
        buffer[0] = '\0';
    }
}

/* ---- messages ---- */

static const char *const labels[] = {
    [RAW_GET] = "tikv.RawGet",
    [RAW_PUT] = "tikv.RawPut",
    [GET] = "tikv.KvGet",
    [SCAN] = "tikv.KvScan",
    [RAW_SCAN] = "tikv.RawScan",
    [PREWRITE] = "tikv.KvPrewrite",
    [COMMIT] = "tikv.KvCommit",
    [LOCK] = "tikv.KvPessimisticLock",
    [UNLOCK] = "tikv.KVPessimisticRollback",
};

static void
put_mutation(struct tk_buf *out, enum shape shape, tikv_slice key,
             tikv_slice value, uint64_t ts)
{
    size_t mark = tk_put_begin(out, 2);

    tk_put_u64(out, 1, shape == LOCK ? 4 : 0);
    tk_put_bytes(out, 2, key);
    if (shape == PREWRITE) {
        tk_put_bytes(out, 3, value);
    }
    tk_put_end(out, mark);
    tk_put_bytes(out, 3, key);
    tk_put_u64(out, 4, ts);
    tk_put_u64(out, 5, 3000);
    if (shape == LOCK) {
        tk_put_u64(out, 6, ts);
        tk_put_u64(out, 8, 60000); /* waits, and gets the lock */
        tk_put_u64(out, 14, 1);
    }
}

static void
put_body(struct tk_buf *out, enum shape shape, tikv_slice key,
         tikv_slice value, uint64_t ts)
{
    switch (shape) {
    case RAW_GET:
        tk_put_bytes(out, 2, key);
        break;
    case RAW_PUT:
        tk_put_bytes(out, 2, key);
        tk_put_bytes(out, 3, value);
        break;
    case GET:
        tk_put_bytes(out, 2, key);
        tk_put_u64(out, 3, ts);
        break;
    case SCAN:
    case RAW_SCAN:
        tk_put_bytes(out, 2, key);
        tk_put_u64(out, 3, PAGE);
        tk_put_u64(out, 4, shape == SCAN ? ts : 0);
        break;
    case PREWRITE:
    case LOCK:
        put_mutation(out, shape, key, value, ts);
        break;
    case COMMIT:
        tk_put_u64(out, 2, ts);
        tk_put_bytes(out, 3, key);
        tk_put_u64(out, 4, ts + 1);
        break;
    case UNLOCK:
        tk_put_u64(out, 2, ts);
        tk_put_u64(out, 3, ts);
        tk_put_bytes(out, 4, key);
        break;
    }
}

void
add_request(const struct bed *bed, struct tk_buf *message, enum shape shape,
            uint64_t key, uint64_t ts)
{
    const struct tk_cl_method *method =
        tk_cl_method_by_label(labels[shape]);
    size_t request = tk_put_begin(message, 1);
    size_t slot = tk_put_begin(message, method->slot);
    uint8_t name[KEY_BYTES];
    uint8_t value[VALUE_BYTES];

    put_key(name, key);
    memset(value, 'w', sizeof(value));
    tk_put_bytes(message, 1, tk_buf_slice(&bed->context));
    put_body(message, shape, tk_slice(name, KEY_BYTES),
             tk_slice(value, VALUE_BYTES), ts);
    tk_put_end(message, slot);
    tk_put_end(message, request);
}

void
end_batch(struct tk_buf *message, unsigned count, uint64_t first_id)
{
    uint64_t ids[BATCH];
    unsigned i;

    for (i = 0; i < count; i++) {
        ids[i] = first_id + i;
    }
    tk_put_packed(message, 2, ids, count);
}

void
make_batch(const struct bed *bed, struct tk_buf *message, enum shape shape,
           unsigned count, uint64_t *random)
{
    unsigned i;

    tk_buf_init(message, SIZE_MAX / 4);
    for (i = 0; i < count; i++) {
        add_request(bed, message, shape, next_random(random) % bed->keys,
                    100);
    }
    end_batch(message, count, 1);
}
