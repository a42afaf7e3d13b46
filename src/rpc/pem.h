/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said about certificates and keys before anything connects: C
 * core takes any text for credentials and fails much later, and vaguely. A
 * reader of PEM blocks and of as much DER as it takes to see names, dates
 * and public keys. It verifies no signatures. No state, any thread.
 */
#ifndef TK_RPC_PEM_H
#define TK_RPC_PEM_H

#include <stdbool.h>
#include <stdint.h>

#include <tikv/error.h>

struct tk_cert_facts {
    int64_t not_before; /* seconds since 1970 */
    int64_t not_after;
    char common_name[256]; /* "": none */
};

/* The first certificate of a text: a chain begins with its owner's. `what`
 * begins the message of the error: a setting, and a path. */
tikv_error *
tk_pem_cert(const char *what, const char *text, struct tk_cert_facts *out);

/* All certificates of a bundle must be readable; *not_after is the day the
 * last of them ends. */
tikv_error *
tk_pem_bundle(const char *what, const char *text, int64_t *not_after);

/* A key that can be read, and belongs to the first certificate as far as the
 * key tells: kinds other than RSA and EC are believed. */
tikv_error *
tk_pem_pair(const char *what_cert, const char *cert, const char *what_key,
            const char *key);

/* "2026-11-21" of seconds since 1970. */
void
tk_pem_date(int64_t seconds, char *out, size_t size);

#endif
