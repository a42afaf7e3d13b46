/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One huge commit: how much more memory this process has at most than before
 * it, by the kernel's own high-water mark, which is reset for the purpose.
 */
#include "perf_txn.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 16, ROOM = 24 << 20, PROGRESS = 100000 };

/* Resident at most since the last reset. */
static uint64_t
peak_bytes(bool resets)
{
    char line[256];
    uint64_t peak = 0;
    FILE *file = resets ? fopen("/proc/self/clear_refs", "w") : NULL;

    if (file != NULL) {
        (void)fputs("5", file);
        (void)fclose(file);
    }
    file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            peak = strtoull(line + 6, NULL, 10) * 1024;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return peak;
}

static void
progress(const struct perf_txn *perf, uint64_t keys, const char *what)
{
    if (!perf->is_quiet) {
        fprintf(stderr, "perf-txn: memory: %" PRIu64 " keys %s\n", keys, what);
    }
}

static bool
write_all(const struct perf_txn *perf, tikv_txn *txn)
{
    uint8_t *value = malloc(perf->value_bytes);
    bool is_good = value != NULL;
    char room[32];
    uint64_t i;

    if (is_good) {
        memset(value, 'v', perf->value_bytes);
    }
    for (i = 0; is_good && i < perf->keys; i++) {
        is_good = perf_txn_ok(
            tikv_txn_put(txn, perf_txn_key(room, sizeof(room), "huge", i),
                         (tikv_slice){ value, perf->value_bytes }));
        if ((i + 1) % PROGRESS == 0) {
            progress(perf, i + 1, "written");
        }
    }
    free(value);
    return is_good;
}

static bool
commit_all(const struct perf_txn *perf, tikv_client *client, uint64_t *buffer)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_call call = TIKV_CALL_INIT;
    tikv_txn *txn = NULL;
    bool is_good;

    options.max_bytes = UINT64_C(1) << 40;
    call.timeout_ms = 600000;
    is_good = perf_txn_ok(tikv_txn_begin(client, &options, &txn)) &&
              write_all(perf, txn);
    if (is_good) {
        *buffer = tikv_txn_memory(txn);
        progress(perf, perf->keys, "are being committed");
        is_good = perf_txn_ok(tikv_txn_commit(txn, &call, NULL));
    }
    tikv_txn_free(txn);
    return is_good;
}

bool
perf_txn_memory(struct perf_txn *perf)
{
    static const char *const settings[] = { "txn.close_wait_ms", "120000",
                                            NULL };
    uint64_t written = perf->keys * (KEY_BYTES + perf->value_bytes);
    uint64_t bound = ROOM + 2 * written;
    tikv_client *client = perf_txn_client(perf, settings);
    uint64_t buffer = 0;
    uint64_t before = peak_bytes(true);
    uint64_t grown;
    bool is_good = client != NULL && commit_all(perf, client, &buffer);

    /* What goes on behind the commit counts, too. */
    tikv_client_close(client);
    if (!is_good) {
        return false;
    }
    grown = peak_bytes(false);
    grown = grown > before ? grown - before : 0;
    is_good = grown <= bound;
    printf("memory: %" PRIu64 " keys, %.1f MiB written: %.1f MiB more at most "
           "(%.1f in the buffer), bound %.1f: %s\n",
           perf->keys, (double)written / 1048576, (double)grown / 1048576,
           (double)buffer / 1048576, (double)bound / 1048576,
           is_good ? "met" : "MISSED");
    if (perf->json != NULL) {
        fprintf(perf->json,
                "{\"row\":\"memory\",\"keys\":%" PRIu64
                ",\"written_bytes\":%" PRIu64 ",\"grown_bytes\":%" PRIu64
                ",\"buffer_bytes\":%" PRIu64 ",\"bound_bytes\":%" PRIu64
                ",\"met\":%s}\n",
                perf->keys, written, grown, buffer, bound,
                is_good ? "true" : "false");
    }
    return is_good;
}
