/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 64-bit fingerprint that TiKV's deadlock detector carries of keys
 * (FarmHash, the function of it that never changes). Equal on all machines;
 * not for secrets.
 */
#ifndef TK_BASE_FINGERPRINT_H
#define TK_BASE_FINGERPRINT_H

#include <stdint.h>

#include <tikv/base.h>

uint64_t
tk_fingerprint64(tikv_slice bytes);

#endif
