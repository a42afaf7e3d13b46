/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli), the checksum of what is kept in files. Any thread.
 */
#ifndef TK_CLUSTER_CRC32C_H
#define TK_CLUSTER_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* `crc` of what came before; 0 to begin with. */
uint32_t
tk_crc32c(uint32_t crc, const void *data, size_t len);

#endif
