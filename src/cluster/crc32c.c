/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C eight bytes at a time: table k tells what a byte does to the
 * remainder k bytes later. The tables are computed once, before main().
 */
#include "cluster/crc32c.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

static uint32_t tables[8][256];

__attribute__((constructor)) static void
fill_tables(void)
{
    uint32_t i;
    uint32_t k;

    for (i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (k = 0; k < 8; k++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][i] = crc;
    }
    for (k = 1; k < 8; k++) {
        for (i = 0; i < 256; i++) {
            uint32_t crc = tables[k - 1][i];

            tables[k][i] = crc >> 8 ^ tables[0][crc & 0xff];
        }
    }
}

static inline uint32_t
load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

uint32_t
tk_crc32c(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; len >= 8; len -= 8, at += 8) {
        uint32_t low = load32(at) ^ crc;
        uint32_t high = load32(at + 4);

        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^
              tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^
              tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
              tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
    }
    for (; len > 0; len--, at++) {
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    }
    return ~crc;
}
