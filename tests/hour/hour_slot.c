/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot has a key that nobody else writes and one operation at a time, so
 * what a read may see is known: the last write that surely happened, or one
 * of those in doubt. A doubtful write may still happen a while after it ended
 * here, so it is forgotten only when a later write surely happened and
 * SETTLED_MS have passed; a read that sees it makes it the last one.
 *
 * Values are the number of the write and filler of a length made from it.
 */
#include "hour.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SETTLED_MS INT64_C(10000)

uint64_t
hour_random(uint64_t *state)
{
    *state =
        *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

void
hour_slot_init(struct hour_slot *slot, struct hour *hour, uint64_t index)
{
    slot->hour = hour;
    slot->random = hour->seed + index;
    /* The first byte spreads them over the regions. */
    (void)snprintf(slot->key, sizeof(slot->key), "%chour/%03" PRIu64,
                   (char)(index * 251 / HOUR_SLOTS + 1), index);
    slot->last.is_delete = true;
}

static tikv_slice
key_of(const struct hour_slot *slot)
{
    return (tikv_slice){ (const uint8_t *)slot->key, strlen(slot->key) };
}

static size_t
spell(uint64_t number, uint8_t value[HOUR_VALUE_MAX])
{
    size_t len = sizeof(number) + (size_t)(number * 37 % 500);

    memcpy(value, &number, sizeof(number));
    memset(value + sizeof(number), (int)(number & 0xff), len - sizeof(number));
    return len;
}

void
hour_slot_begin(struct hour_slot *slot)
{
    uint64_t dice = hour_random(&slot->random) % 16;

    if (atomic_exchange(&slot->is_flying, true)) {
        hour_complain(slot->hour, "%s: two operations at once", slot->key + 1);
    }
    slot->kind = dice < 8 ? HOUR_GET : dice < 14 ? HOUR_PUT : HOUR_DELETE;
    if (slot->kind != HOUR_GET) {
        slot->now.number++;
        slot->now.is_delete = slot->kind == HOUR_DELETE;
    }
    atomic_store(&slot->started_at, tikv_now_ns());
    atomic_fetch_add(&slot->begun, 1);
}

/* ---- what the key may hold ---- */

static void
happened(struct hour_slot *slot, const struct hour_write *write)
{
    int64_t now = tikv_now_ns();
    size_t i, kept = 0;

    slot->last = *write;
    for (i = 0; i < slot->doubts_count; i++) {
        if (now - slot->doubts[i].ended_at < SETTLED_MS * HOUR_MS) {
            slot->doubts[kept++] = slot->doubts[i];
        }
    }
    slot->doubts_count = kept;
}

static void
in_doubt(struct hour_slot *slot, struct hour_write write)
{
    atomic_fetch_add(&slot->hour->counters.doubts, 1);
    write.ended_at = tikv_now_ns();
    if (slot->doubts_count == HOUR_DOUBTS) {
        /* More than one in a third of a second: the oldest must go. */
        memmove(slot->doubts, slot->doubts + 1,
                (HOUR_DOUBTS - 1) * sizeof(slot->doubts[0]));
        slot->doubts_count--;
    }
    slot->doubts[slot->doubts_count++] = write;
}

static bool
is_same(const struct hour_write *write, const uint64_t *number)
{
    return number == NULL ? write->is_delete
                          : !write->is_delete && write->number == *number;
}

/* `number` NULL: the key holds nothing. */
static void
saw(struct hour_slot *slot, const uint64_t *number)
{
    size_t i;

    if (is_same(&slot->last, number)) {
        return;
    }
    for (i = slot->doubts_count; i > 0; i--) {
        struct hour_write write = slot->doubts[i - 1];

        if (is_same(&write, number)) {
            happened(slot, &write);
            return;
        }
    }
    hour_complain(
        slot->hour,
        "%s: read %" PRIu64 ", last written %" PRIu64 "%s, %zu in doubt",
        slot->key + 1, number == NULL ? 0 : *number, slot->last.number,
        slot->last.is_delete ? " (deleted)" : "", slot->doubts_count);
}

static void
saw_value(struct hour_slot *slot, tikv_value *value)
{
    uint8_t wanted[HOUR_VALUE_MAX];
    uint64_t number;
    tikv_slice bytes;

    if (value == NULL) {
        saw(slot, NULL);
        return;
    }
    bytes = tikv_value_slice(value);
    if (bytes.len < sizeof(number)) {
        hour_complain(slot->hour, "%s: a value of %zu bytes", slot->key + 1,
                      bytes.len);
        return;
    }
    memcpy(&number, bytes.data, sizeof(number));
    if (spell(number, wanted) != bytes.len ||
        memcmp(wanted, bytes.data, bytes.len) != 0) {
        hour_complain(slot->hour, "%s: not a value of ours", slot->key + 1);
        return;
    }
    saw(slot, &number);
}

/* ---- its end ---- */

static void
end(struct hour_slot *slot, tikv_error *error, tikv_value *value)
{
    if (error != NULL) {
        bool may_have_happened = hour_take_error(slot->hour, error);

        if (may_have_happened && slot->kind == HOUR_GET) {
            hour_complain(slot->hour, "a read in doubt");
        } else if (may_have_happened) {
            in_doubt(slot, slot->now);
        }
    } else if (slot->kind == HOUR_GET) {
        saw_value(slot, value);
    } else {
        happened(slot, &slot->now);
    }
    tikv_value_free(value);
    atomic_fetch_add(&slot->ended, 1);
    if (!atomic_exchange(&slot->is_flying, false)) {
        hour_complain(slot->hour, "%s: an operation ended twice",
                      slot->key + 1);
    }
}

/* ---- ways to do it ---- */

static void
fill_options(tikv_raw_options *options)
{
    *options = (tikv_raw_options)TIKV_RAW_OPTIONS_INIT;
    options->call.timeout_ms = HOUR_CALL_MS;
}

void
hour_slot_call(struct hour_slot *slot)
{
    tikv_client *client = slot->hour->client;
    uint8_t bytes[HOUR_VALUE_MAX];
    tikv_slice value = { bytes, spell(slot->now.number, bytes) };
    tikv_raw_options options;
    tikv_value *found = NULL;
    tikv_error *error = NULL;

    fill_options(&options);
    switch (slot->kind) {
    case HOUR_GET:
        error = tikv_raw_get(client, key_of(slot), &options, &found);
        break;
    case HOUR_PUT:
        error = tikv_raw_put(client, key_of(slot), value, &options);
        break;
    case HOUR_DELETE:
        error = tikv_raw_delete(client, key_of(slot), &options);
        break;
    }
    end(slot, error, found);
}

tikv_future *
hour_slot_launch(struct hour_slot *slot)
{
    tikv_client *client = slot->hour->client;
    uint8_t bytes[HOUR_VALUE_MAX];
    tikv_slice value = { bytes, spell(slot->now.number, bytes) };
    tikv_raw_options options;

    fill_options(&options);
    switch (slot->kind) {
    case HOUR_PUT:
        return tikv_raw_put_async(client, key_of(slot), value, &options);
    case HOUR_DELETE:
        return tikv_raw_delete_async(client, key_of(slot), &options);
    case HOUR_GET:
        break;
    }
    return tikv_raw_get_async(client, key_of(slot), &options);
}

void
hour_slot_land(struct hour_slot *slot, tikv_future *future)
{
    tikv_value *found = NULL;
    tikv_error *error = slot->kind == HOUR_GET
                            ? tikv_future_take_value(future, &found)
                            : tikv_future_take_done(future);

    tikv_future_free(future);
    end(slot, error, found);
}

void
hour_slot_check(struct hour_slot *slot)
{
    tikv_value *found = NULL;
    tikv_error *error =
        tikv_raw_get(slot->hour->client, key_of(slot), NULL, &found);

    if (error != NULL) {
        hour_complain(slot->hour, "%s: not readable in peace: %s",
                      slot->key + 1, tikv_error_message(error));
        tikv_error_free(error);
        return;
    }
    saw_value(slot, found);
    tikv_value_free(found);
}
