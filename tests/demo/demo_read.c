/* SPDX-License-Identifier: Apache-2.0 */
/* Reading everything back, every way there is, and comparing. */
#include "demo.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct reader {
    pthread_t thread;
    tikv_client *client;
    const struct demo_data *data;
    struct demo_step step;
    size_t first;
    size_t stride;
};

/* Takes the error and the value over. */
static void
compare(struct demo_step *step, const struct demo_record *record,
        tikv_error *error, tikv_value *value)
{
    if (error != NULL) {
        demo_wrong(step, "%s: %s", record->key, tikv_error_message(error));
    } else if (value == NULL) {
        demo_wrong(step, "%s is not there", record->key);
    } else if (!demo_same(tikv_value_slice(value), demo_value(record))) {
        demo_wrong(step, "%s came back different", record->key);
    } else {
        step->records++;
    }
    tikv_error_free(error);
    tikv_value_free(value);
}

static void *
read_some(void *arg)
{
    struct reader *reader = arg;
    size_t i;

    for (i = reader->first; i < reader->data->count; i += reader->stride) {
        const struct demo_record *record = &reader->data->records[i];
        tikv_value *value;
        tikv_error *error =
            tikv_raw_get(reader->client, demo_key(record), NULL, &value);

        compare(&reader->step, record, error, value);
    }
    return NULL;
}

bool
demo_read_blocking(tikv_client *client, const struct demo_data *data,
                   unsigned threads)
{
    struct demo_step step = { "get, blocking, 8 threads", 0, tikv_now_ns(),
                              true };
    struct reader *readers = calloc(threads, sizeof(*readers));
    unsigned i;

    for (i = 0; readers != NULL && i < threads; i++) {
        readers[i].client = client;
        readers[i].data = data;
        readers[i].step = step;
        readers[i].first = i;
        readers[i].stride = threads;
        pthread_create(&readers[i].thread, NULL, read_some, &readers[i]);
    }
    for (i = 0; readers != NULL && i < threads; i++) {
        pthread_join(readers[i].thread, NULL);
        step.records += readers[i].step.records;
        step.is_right = step.is_right && readers[i].step.is_right;
    }
    free(readers);
    step.is_right = step.is_right && step.records == data->count;
    return demo_row(&step);
}

bool
demo_read_futures(tikv_client *client, const struct demo_data *data)
{
    enum { WINDOW = 512 };
    static tikv_future *window[WINDOW];
    struct demo_step step = { "get, futures, 512 in flight", 0, tikv_now_ns(),
                              true };
    size_t i;

    for (i = 0; i < data->count + WINDOW; i++) {
        tikv_future **place = &window[i % WINDOW];

        if (i >= WINDOW && *place != NULL) {
            tikv_value *value = NULL;
            tikv_error *error;

            tikv_future_wait(*place, TIKV_FOREVER);
            error = tikv_future_take_value(*place, &value);
            compare(&step, &data->records[i - WINDOW], error, value);
            tikv_future_free(*place);
        }
        *place = i < data->count
                     ? tikv_raw_get_async(
                           client, demo_key(&data->records[i]), NULL)
                     : NULL;
    }
    step.is_right = step.is_right && step.records == data->count;
    return demo_row(&step);
}

bool
demo_scan(tikv_client *client, const struct demo_data *data, bool reverse)
{
    struct demo_step step = { reverse ? "scan downwards, by pages"
                                      : "scan upwards, by pages",
                              0, tikv_now_ns(), true };
    tikv_range range = { { (const uint8_t *)"unicode/", 8 },
                         { (const uint8_t *)"unicode0", 8 } };
    tikv_scan_options options = TIKV_SCAN_OPTIONS_INIT;
    tikv_pairs *page = NULL, *before = NULL;
    bool more = true;

    options.page_count = 1000;
    options.flags = reverse ? TIKV_SCAN_REVERSE : 0;
    while (more && step.is_right) {
        tikv_error *error = tikv_raw_scan(client, range, &options, &page);
        size_t i;

        if (error != NULL) {
            demo_wrong(&step, "%s", tikv_error_message(error));
            tikv_error_free(error);
        }
        for (i = 0; i < tikv_pairs_count(page); i++) {
            const tikv_pair *pair = &tikv_pairs_data(page)[i];
            size_t at = step.records++;
            const struct demo_record *record =
                &data->records[reverse ? data->count - 1 - at : at];

            if (at >= data->count ||
                !demo_same(pair->key, demo_key(record)) ||
                !demo_same(pair->value, demo_value(record))) {
                demo_wrong(&step, "pair %zu is not that of the file", at);
                break;
            }
        }
        more = tikv_pairs_next(page, &range);
        tikv_pairs_free(before);
        before = page;
        page = NULL;
    }
    tikv_pairs_free(before);
    step.is_right = step.is_right && step.records == data->count;
    return demo_row(&step);
}

bool
demo_checksum(tikv_client *client, const struct demo_data *data)
{
    struct demo_step step = { "checksum by the stores", 0, tikv_now_ns(),
                              true };
    tikv_range all = { { (const uint8_t *)"unicode/", 8 },
                       { (const uint8_t *)"unicode0", 8 } };
    uint64_t crc, pairs, bytes;
    tikv_error *error =
        tikv_raw_checksum(client, &all, 1, NULL, &crc, &pairs, &bytes);

    if (error != NULL) {
        demo_wrong(&step, "%s", tikv_error_message(error));
        tikv_error_free(error);
    } else {
        step.records = pairs;
        if (crc != data->crc64_xor || pairs != data->count ||
            bytes != data->bytes) {
            demo_wrong(&step,
                       "%016" PRIx64 " over %" PRIu64 " pairs, %" PRIu64
                       " bytes; the file has %016" PRIx64 ", %zu, %" PRIu64,
                       crc, pairs, bytes, data->crc64_xor, data->count,
                       data->bytes);
        }
    }
    return demo_row(&step);
}

bool
demo_ttl(tikv_client *client, const struct demo_data *data, uint64_t ttl_s)
{
    enum { WINDOW = 256 };
    static tikv_future *window[WINDOW];
    struct demo_step step = { "time to live of every record", 0,
                              tikv_now_ns(), true };
    size_t i;

    for (i = 0; i < data->count + WINDOW; i++) {
        tikv_future **place = &window[i % WINDOW];

        if (i >= WINDOW && *place != NULL) {
            const struct demo_record *record = &data->records[i - WINDOW];
            uint64_t left = 0;
            bool found = false;
            tikv_error *error;

            tikv_future_wait(*place, TIKV_FOREVER);
            error = tikv_future_take_ttl(*place, &found, &left);
            if (error != NULL) {
                demo_wrong(&step, "%s: %s", record->key,
                           tikv_error_message(error));
            } else if (!found || left > ttl_s || left + 600 < ttl_s) {
                demo_wrong(&step, "%s: %" PRIu64 " s left of %" PRIu64,
                           record->key, left, ttl_s);
            } else {
                step.records++;
            }
            tikv_error_free(error);
            tikv_future_free(*place);
        }
        *place = i < data->count
                     ? tikv_raw_ttl_async(
                           client, demo_key(&data->records[i]), NULL)
                     : NULL;
    }
    step.is_right = step.is_right && step.records == data->count;
    return demo_row(&step);
}
