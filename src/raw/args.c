/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments and options of raw operations: read, checked before anything is
 * sent, and copied for futures. An error names the argument and what is wrong
 * with it. No state; any thread.
 */
#include <stdio.h>

#include "base/call.h"
#include "base/error.h"
#include "raw/inner.h"

#define SCAN_FLAGS (TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY)

const char *
tk_raw_column_family(const char *name)
{
    if (name == NULL || name[0] == '\0' || strcmp(name, "default") == 0) {
        return "";
    }
    if (strcmp(name, "lock") == 0) {
        return "lock";
    }
    return strcmp(name, "write") == 0 ? "write" : NULL;
}

static tikv_error *
read_family(const struct tk_config *config, const char *name,
            struct tk_raw *raw)
{
    const char *wanted = name == NULL ? config->raw_column_family : name;

    raw->column_family = tk_raw_column_family(wanted);
    if (raw->column_family == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "column_family is \"%.64s\": not one of default, "
                        "lock, write",
                        wanted);
    }
    return NULL;
}

static tikv_error *
read_atomic(const struct tk_config *config, tikv_switch wanted,
            struct tk_raw *raw)
{
    switch (wanted) {
    case TIKV_DEFAULT:
        raw->atomic = tk_config_int(&config->raw_atomic) != 0;
        return NULL;
    case TIKV_ON:
    case TIKV_OFF:
        raw->atomic = wanted == TIKV_ON;
        return NULL;
    default:
        return tk_error(TIKV_ERR_ARGUMENT, "atomic is %d: not a switch",
                        (int)wanted);
    }
}

static tikv_error *
read_ttls(const tikv_raw_options *options, struct tk_raw *raw)
{
    if (options->ttls_s == NULL && options->ttls_count == 0) {
        return NULL;
    }
    if (raw->kind != TK_RAW_BATCH_PUT) {
        return tk_error(TIKV_ERR_ARGUMENT, "ttls_s is for batch put only");
    }
    if (options->ttls_s == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "ttls_s is NULL, ttls_count %zu",
                        options->ttls_count);
    }
    if (options->ttls_count != raw->count) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "ttls_count is %zu where count is %zu",
                        options->ttls_count, raw->count);
    }
    raw->ttls_s = options->ttls_s;
    return NULL;
}

tikv_error *
tk_raw_read_options(const struct tk_config *config,
                    const tikv_raw_options *options, struct tk_raw *raw,
                    tikv_call *call)
{
    tikv_raw_options copy;
    tikv_error *error;

    if (options == NULL) {
        *call = (tikv_call)TIKV_CALL_INIT;
        raw->atomic = tk_config_int(&config->raw_atomic) != 0;
        return read_family(config, NULL, raw);
    }
    error = tk_options_read(options, sizeof(copy), &copy);
    if (error != NULL) {
        return error;
    }
    if (copy.reserved != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "reserved is not 0");
    }
    *call = copy.call;
    call->struct_size = sizeof(*call);
    raw->ttl_s = copy.ttl_s;
    raw->details = copy.details;
    error = read_family(config, copy.column_family, raw);
    if (error == NULL) {
        error = read_atomic(config, copy.atomic, raw);
    }
    if (error == NULL) {
        error = read_ttls(&copy, raw);
    }
    return error;
}

tikv_error *
tk_raw_read_scan_options(const struct tk_config *config,
                         const tikv_scan_options *options, struct tk_raw *raw,
                         tikv_call *call)
{
    tikv_scan_options copy;
    tikv_error *error = tk_options_read(options, sizeof(copy), &copy);

    if (error != NULL) {
        return error;
    }
    if ((copy.flags & ~SCAN_FLAGS) != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "flags has unknown bits 0x%x",
                        copy.flags & ~SCAN_FLAGS);
    }
    if (copy.page_count > TIKV_SCAN_PAGE_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT, "page_count is %u: above %u",
                        copy.page_count, TIKV_SCAN_PAGE_MAX);
    }
    *call = copy.call;
    call->struct_size = sizeof(*call);
    raw->flags = copy.flags;
    raw->page_count = copy.page_count;
    if (raw->page_count == 0) {
        raw->page_count = (uint32_t)tk_config_int(&config->scan_page_count);
    }
    return read_family(config, copy.column_family, raw);
}

/* ---- checks ---- */

static tikv_error *
too_large(const char *what, size_t size, int64_t limit, tikv_slice key)
{
    tikv_error *error =
        tk_error(TIKV_ERR_TOO_LARGE, "%s has %zu bytes, the limit is %lld",
                 what, size, (long long)limit);

    tk_error_set_u64(error, TIKV_ERROR_SIZE_BYTES, size);
    tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, (uint64_t)limit);
    tk_error_set_key(error, key);
    return error;
}

/* An argument, or one item of an array. */
struct place {
    const char *name;
    bool is_item;
    size_t index;
};

static void
name_place(const struct place *place, const char *member, char *out,
           size_t size)
{
    if (place->is_item) {
        snprintf(out, size, "%s[%zu]%s", place->name, place->index, member);
    } else {
        snprintf(out, size, "%s", place->name);
    }
}

static tikv_error *
refuse_bytes(const struct place *place, const char *member, tikv_slice bytes,
             int64_t limit, tikv_slice key)
{
    char name[64];

    name_place(place, member, name, sizeof(name));
    if (bytes.data == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s is absent", name);
    }
    return too_large(name, bytes.len, limit, key);
}

static inline tikv_error *
check_bytes(const struct place *place, const char *member, tikv_slice bytes,
            int64_t limit, tikv_slice key)
{
    return bytes.data != NULL && bytes.len <= (size_t)limit
               ? NULL
               : refuse_bytes(place, member, bytes, limit, key);
}

static tikv_error *
check_key(const struct tk_config *config, const struct place *place,
          const char *member, tikv_slice key)
{
    return check_bytes(place, member, key,
                       tk_config_int(&config->raw_max_key_bytes), key);
}

static tikv_error *
check_value(const struct tk_config *config, const struct place *place,
            const char *member, tikv_slice value, tikv_slice key)
{
    return check_bytes(place, member, value,
                       tk_config_int(&config->raw_max_value_bytes), key);
}

static tikv_error *
check_items(const struct tk_config *config, const struct tk_raw *raw)
{
    bool pairs = raw->kind == TK_RAW_BATCH_PUT;
    struct place place = { pairs ? "pairs" : "keys", true, 0 };
    tikv_error *error = NULL;

    for (; error == NULL && place.index < raw->count; place.index++) {
        if (pairs) {
            const tikv_pair *pair = &raw->many.pairs[place.index];

            error = check_key(config, &place, ".key", pair->key);
            if (error == NULL) {
                error = check_value(config, &place, ".value", pair->value,
                                    pair->key);
            }
        } else {
            error = check_key(config, &place, "", raw->many.keys[place.index]);
        }
    }
    return error;
}

static bool
slice_is_odd(tikv_slice bytes)
{
    return bytes.data == NULL && bytes.len != 0;
}

static tikv_error *
check_ranges(const struct tk_raw *raw)
{
    size_t i;

    for (i = 0; i < raw->count; i++) {
        const tikv_range *range = &raw->many.ranges[i];

        if (slice_is_odd(range->start) || slice_is_odd(range->end)) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "range %zu: an end has a length and no data", i);
        }
    }
    return NULL;
}

static tikv_error *
check_many(const struct tk_config *config, const struct tk_raw *raw)
{
    bool ranges = raw->kind >= TK_RAW_DELETE_RANGE;
    const char *name = raw->kind == TK_RAW_BATCH_PUT ? "pairs"
                       : ranges                      ? "ranges"
                                                     : "keys";

    if (raw->count > PTRDIFF_MAX / sizeof(tikv_pair)) {
        return tk_error(TIKV_ERR_ARGUMENT, "count is %zu", raw->count);
    }
    if (raw->many.keys == NULL && raw->count != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s is NULL, count %zu", name,
                        raw->count);
    }
    return ranges ? check_ranges(raw) : check_items(config, raw);
}

static tikv_error *
check_point(const struct tk_config *config, const struct tk_raw *raw)
{
    static const struct place key = { "key", false, 0 };
    static const struct place value = { "value", false, 0 };
    static const struct place desired = { "desired", false, 0 };
    static const struct place expected = { "expected", false, 0 };
    tikv_error *error = check_key(config, &key, "", raw->key);

    if (error != NULL) {
        return error;
    }
    if (raw->kind == TK_RAW_PUT) {
        return check_value(config, &value, "", raw->value, raw->key);
    }
    if (raw->kind != TK_RAW_SWAP) {
        return NULL;
    }
    if (raw->value.data != NULL) {
        error = check_value(config, &desired, "", raw->value, raw->key);
    }
    if (error == NULL && raw->expected.data != NULL) {
        error = check_value(config, &expected, "", raw->expected, raw->key);
    }
    return error;
}

/* What the mode of the call or the column family does not allow. */
static tikv_error *
check_mode(const struct tk_raw *raw)
{
    if (raw->kind == TK_RAW_SWAP && !raw->atomic) {
        return tk_error(TIKV_ERR_UNSUPPORTED,
                        "swap needs atomic mode: set raw.atomic, or `atomic` "
                        "of the call");
    }
    if (raw->atomic && (raw->kind == TK_RAW_BATCH_DELETE ||
                        raw->kind == TK_RAW_DELETE_RANGE)) {
        return tk_error(
            TIKV_ERR_UNSUPPORTED, "%s cannot be done in atomic mode",
            raw->kind == TK_RAW_BATCH_DELETE ? "batch delete" : "delete range");
    }
    if (raw->kind == TK_RAW_CHECKSUM && raw->column_family[0] != '\0') {
        return tk_error(TIKV_ERR_UNSUPPORTED,
                        "TiKV has checksums of the default column family "
                        "only, not of \"%s\"",
                        raw->column_family);
    }
    return NULL;
}

tikv_error *
tk_raw_check(const struct tk_config *config, const struct tk_raw *raw)
{
    tikv_error *error = raw->kind < TK_RAW_BATCH_GET ? check_point(config, raw)
                                                     : check_many(config, raw);

    return error == NULL ? check_mode(raw) : error;
}

/* ---- copies ---- */

static size_t
item_size(const struct tk_raw *raw)
{
    switch (raw->kind) {
    case TK_RAW_BATCH_GET:
    case TK_RAW_BATCH_DELETE:
        return sizeof(tikv_slice);
    case TK_RAW_BATCH_PUT:
    case TK_RAW_DELETE_RANGE:
    case TK_RAW_SCAN:
    case TK_RAW_BATCH_SCAN:
    case TK_RAW_CHECKSUM:
        return sizeof(tikv_pair);
    case TK_RAW_GET:
    case TK_RAW_PUT:
    case TK_RAW_DELETE:
    case TK_RAW_SWAP:
    case TK_RAW_TTL:
    case TK_RAW_KINDS:
    default:
        return 0;
    }
}

/* Keys, pairs and ranges alike are arrays of slices. */
static size_t
slices_count(const struct tk_raw *raw)
{
    return raw->count * (item_size(raw) / sizeof(tikv_slice));
}

static const tikv_slice *
slices_of(const struct tk_raw *raw)
{
    return raw->many.keys;
}

_Static_assert(sizeof(tikv_pair) == 2 * sizeof(tikv_slice) &&
                   sizeof(tikv_range) == 2 * sizeof(tikv_slice),
               "pairs and ranges are two slices");

size_t
tk_raw_copy_size(const struct tk_raw *raw)
{
    size_t count = raw->count == 0 ? 0 : slices_count(raw);
    size_t size = count * sizeof(tikv_slice);
    size_t i;

    if (__builtin_add_overflow(size, raw->key.len, &size) ||
        __builtin_add_overflow(size, raw->value.len, &size) ||
        __builtin_add_overflow(size, raw->expected.len, &size)) {
        return SIZE_MAX;
    }
    if (raw->ttls_s != NULL &&
        __builtin_add_overflow(size, raw->count * sizeof(uint64_t), &size)) {
        return SIZE_MAX;
    }
    for (i = 0; i < count; i++) {
        if (__builtin_add_overflow(size, slices_of(raw)[i].len, &size)) {
            return SIZE_MAX;
        }
    }
    return size;
}

/* Empty stays present, absent stays absent. */
static tikv_slice
copy_slice(tikv_slice from, uint8_t **at)
{
    tikv_slice to = { from.data == NULL ? NULL : *at, from.len };

    if (from.data == NULL) {
        to.len = 0;
    } else if (from.len != 0) {
        memcpy(*at, from.data, from.len);
        *at += from.len;
    }
    return to;
}

void
tk_raw_copy(const struct tk_raw *from, struct tk_raw *to, uint8_t *memory)
{
    tikv_slice *slices = (tikv_slice *)(void *)memory;
    size_t count = from->count == 0 ? 0 : slices_count(from);
    uint8_t *at = memory + count * sizeof(*slices);
    size_t i;

    *to = *from;
    if (from->ttls_s != NULL) {
        memcpy(at, from->ttls_s, from->count * sizeof(uint64_t));
        to->ttls_s = (const uint64_t *)(const void *)at;
        at += from->count * sizeof(uint64_t);
    }
    for (i = 0; i < count; i++) {
        slices[i] = copy_slice(slices_of(from)[i], &at);
    }
    if (count != 0) {
        to->many.keys = slices;
    }
    to->key = copy_slice(from->key, &at);
    to->value = copy_slice(from->value, &at);
    to->expected = copy_slice(from->expected, &at);
}
