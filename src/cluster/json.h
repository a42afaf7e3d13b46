/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as it comes over HTTP, read from left to right without a tree, and
 * text as it goes out. A reader that meets what it does not understand fails
 * for good; all calls are harmless then.
 */
#ifndef TK_CLUSTER_JSON_H
#define TK_CLUSTER_JSON_H

#include "base/buf.h"

struct tk_json {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void
tk_json_init(struct tk_json *json, tikv_slice text);

/* Enters an object. False: it is none. */
bool
tk_json_enter(struct tk_json *json);

/* The name of the next member, terminated, in place of what `name` held; its
 * value must be read or skipped next. False behind the last one. */
bool
tk_json_member(struct tk_json *json, struct tk_buf *name);

/* A string, appended with a terminator. */
bool
tk_json_string(struct tk_json *json, struct tk_buf *out);

/* A value of any kind. */
void
tk_json_skip(struct tk_json *json);

/* As a JSON string, with its quotes. */
void
tk_json_put(struct tk_buf *out, tikv_slice text);

#endif
