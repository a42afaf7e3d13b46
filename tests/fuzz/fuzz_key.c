/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a mode, a length and the two bounds of a region. What decodes
 * must encode to the same bytes; what a codec takes for ours must come back
 * as it was.
 */
#include "fuzz.h"

#include "base/slice.h"
#include "wire/key.h"

static void
one_form(tikv_slice in, bool is_down)
{
    struct tk_buf key;
    struct tk_buf form;
    tikv_slice rest;

    tk_buf_init(&key, 1 << 24);
    tk_buf_init(&form, 1 << 24);
    if (is_down ? tk_key_decode_desc(&key, in, &rest)
                : tk_key_decode(&key, in, &rest)) {
        if (is_down) {
            tk_key_encode_desc(&form, tk_buf_slice(&key));
        } else {
            tk_key_encode(&form, tk_buf_slice(&key));
        }
        fuzz_check(form.len + rest.len == in.len);
        fuzz_check(memcmp(form.data, in.data, form.len) == 0);
    }
    tk_buf_fini(&key);
    tk_buf_fini(&form);
}

/* Bounds that carry the prefix come back when they are encoded again. */
static void
region(const struct tk_key_codec *codec, tikv_slice start, tikv_slice end)
{
    struct tk_buf user_start;
    struct tk_buf user_end;
    struct tk_buf again;

    tk_buf_init(&user_start, 1 << 24);
    tk_buf_init(&user_end, 1 << 24);
    tk_buf_init(&again, 1 << 24);
    if (tk_codec_region_range(codec, start, end, &user_start, &user_end)) {
        if (user_start.len != 0) {
            tk_codec_region_key(codec, &again, tk_buf_slice(&user_start));
            fuzz_check(again.len <= start.len);
            fuzz_check(memcmp(again.data, start.data, again.len) == 0);
        }
    } else {
        fuzz_check(user_start.len == 0 && user_end.len == 0);
    }
    tk_buf_fini(&user_start);
    tk_buf_fini(&user_end);
    tk_buf_fini(&again);
}

static void
response(const struct tk_key_codec *codec, tikv_slice key)
{
    struct tk_buf again;
    tikv_slice user;

    tk_buf_init(&again, 1 << 24);
    if (tk_codec_response_key(codec, key, &user)) {
        tk_codec_request_key(codec, &again, user);
        fuzz_check(tk_slice_equal(tk_buf_slice(&again), key));
    }
    tk_buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tk_key_codec codec;
    tikv_slice start;
    tikv_slice end;

    if (size < 4) {
        return 0;
    }
    codec.mode = (enum tk_key_mode)(data[0] % 4);
    codec.keyspace_id = data[0] < 128 ? data[1] : 0xffffff;
    start.data = data + 4;
    start.len = data[2] < size - 4 ? data[2] : size - 4;
    end.data = start.data + start.len;
    end.len = size - 4 - start.len;
    one_form(tk_slice(start.data, size - 4), (data[3] & 1) != 0);
    region(&codec, start, end);
    response(&codec, start);
    return 0;
}
