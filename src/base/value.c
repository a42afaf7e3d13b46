/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and pairs, and their public readers. An object has one owner at a
 * time; the frames it keeps are counted and may be shared by threads.
 */
#include "base/value.h"

#include <string.h>

#include "base/alloc.h"

static void
release_block(struct tikv_value *value)
{
    tk_free(value);
}

tikv_value *
tk_value_new(tikv_slice bytes, struct tk_frame *frame)
{
    size_t extra = frame == NULL ? bytes.len : 0;
    tikv_value *value = extra > SIZE_MAX - sizeof(*value)
                            ? NULL
                            : tk_alloc(sizeof(*value) + extra);

    if (value == NULL) {
        tk_frame_unref(frame, 1);
        return NULL;
    }
    value->bytes = bytes;
    value->commit_ts = 0;
    value->frame = frame;
    value->release = release_block;
    if (frame == NULL) {
        uint8_t *copy = (uint8_t *)(value + 1);

        if (bytes.len != 0) {
            memcpy(copy, bytes.data, bytes.len);
        }
        value->bytes.data = copy;
    } else if (bytes.data == NULL) {
        /* Found and empty is not absent. */
        value->bytes.data = (const uint8_t *)value;
    }
    return value;
}

tikv_slice
tikv_value_slice(const tikv_value *value)
{
    return value == NULL ? (tikv_slice){ NULL, 0 } : value->bytes;
}

uint64_t
tikv_value_commit_ts(const tikv_value *value)
{
    return value == NULL ? 0 : value->commit_ts;
}

uint64_t
tikv_pairs_commit_ts(const tikv_pairs *pairs, size_t place)
{
    return pairs == NULL || pairs->commit_ts == NULL || place >= pairs->count
               ? 0
               : pairs->commit_ts[place];
}

void
tikv_value_free(tikv_value *value)
{
    if (value != NULL) {
        tk_frame_unref(value->frame, 1);
        value->release(value);
    }
}

tikv_pairs *
tk_pairs_new(size_t reserve)
{
    tikv_pairs *pairs = tk_calloc(sizeof(*pairs));

    if (pairs == NULL || reserve == 0) {
        return pairs;
    }
    pairs->data = tk_alloc_array(reserve, sizeof(*pairs->data));
    if (pairs->data == NULL) {
        tk_free(pairs);
        return NULL;
    }
    pairs->cap = reserve;
    return pairs;
}

/* Room for one more item; the new place of the array, or NULL. */
static void *
grow(void *array, size_t item_size, size_t count, size_t *cap)
{
    size_t wanted = *cap < 8 ? 8 : *cap * 2;
    size_t size;

    if (count < *cap) {
        return array;
    }
    if (*cap > SIZE_MAX / 2 ||
        __builtin_mul_overflow(wanted, item_size, &size)) {
        return NULL;
    }
    array = tk_realloc(array, size);
    if (array != NULL) {
        *cap = wanted;
    }
    return array;
}

bool
tk_pairs_add(tikv_pairs *pairs, tikv_slice key, tikv_slice value)
{
    tikv_pair *data =
        grow(pairs->data, sizeof(*data), pairs->count, &pairs->cap);

    if (data == NULL) {
        return false;
    }
    pairs->data = data;
    data[pairs->count++] = (tikv_pair){ key, value };
    return true;
}

bool
tk_pairs_hold(tikv_pairs *pairs, struct tk_frame *frame)
{
    struct tk_frame **frames;

    if (frame == NULL) {
        return true;
    }
    frames = grow(pairs->frames, sizeof(struct tk_frame *), pairs->frames_count,
                  &pairs->frames_cap);
    if (frames == NULL) {
        tk_frame_unref(frame, 1);
        return false;
    }
    pairs->frames = frames;
    frames[pairs->frames_count++] = frame;
    return true;
}

bool
tk_pairs_copy(tikv_pairs *pairs, tikv_slice bytes, tikv_slice *out)
{
    struct tk_frame *frame;
    uint8_t *copy;

    *out = (tikv_slice){ NULL, 0 };
    frame = tk_frame_new(bytes.len, &copy);
    if (frame == NULL || !tk_pairs_hold(pairs, frame)) {
        return false;
    }
    if (bytes.len != 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    *out = (tikv_slice){ copy, bytes.len };
    return true;
}

const tikv_pair *
tikv_pairs_data(const tikv_pairs *pairs)
{
    return pairs == NULL ? NULL : pairs->data;
}

size_t
tikv_pairs_count(const tikv_pairs *pairs)
{
    return pairs == NULL ? 0 : pairs->count;
}

bool
tikv_pairs_next(const tikv_pairs *pairs, tikv_range *rest)
{
    if (pairs == NULL || !pairs->has_rest) {
        return false;
    }
    if (rest != NULL) {
        *rest = pairs->rest;
    }
    return true;
}

size_t
tikv_pairs_group_end(const tikv_pairs *pairs, size_t index)
{
    if (pairs == NULL) {
        return 0;
    }
    if (pairs->group_ends == NULL || index >= pairs->groups_count) {
        return pairs->count;
    }
    return pairs->group_ends[index];
}

void
tikv_pairs_free(tikv_pairs *pairs)
{
    size_t i;

    if (pairs == NULL) {
        return;
    }
    for (i = 0; i < pairs->frames_count; i++) {
        tk_frame_unref(pairs->frames[i], 1);
    }
    tk_free(pairs->frames);
    tk_free(pairs->commit_ts);
    tk_free(pairs->group_ends);
    tk_free(pairs->data);
    tk_free(pairs);
}
