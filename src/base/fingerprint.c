/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FarmHash's Fingerprint64. Five ways by length, all of the same parts:
 * little-endian words, rotations, and a multiplier that depends on the
 * length. No state.
 */
#include "base/fingerprint.h"

#include <stddef.h>

#define K0 UINT64_C(0xc3a5c85c97cb3127)
#define K1 UINT64_C(0xb492b66fbe98f273)
#define K2 UINT64_C(0x9ae16a3b2f90404f)

static uint64_t
fetch64(const uint8_t *at)
{
    uint64_t number = 0;
    int i;

    for (i = 7; i >= 0; i--) {
        number = number << 8 | at[i];
    }
    return number;
}

static uint64_t
fetch32(const uint8_t *at)
{
    return (uint64_t)at[3] << 24 | (uint64_t)at[2] << 16 |
           (uint64_t)at[1] << 8 | at[0];
}

static uint64_t
rotate(uint64_t number, unsigned bits)
{
    return number >> bits | number << (64 - bits);
}

static uint64_t
mix(uint64_t number)
{
    return number ^ number >> 47;
}

static uint64_t
hash_two(uint64_t u, uint64_t v, uint64_t mul)
{
    uint64_t a = mix((u ^ v) * mul);
    uint64_t b = mix((v ^ a) * mul);

    return b * mul;
}

static uint64_t
hash_short(const uint8_t *at, size_t len)
{
    uint64_t mul = K2 + len * 2;
    uint64_t a;
    uint64_t b;

    if (len >= 8) {
        a = fetch64(at) + K2;
        b = fetch64(at + len - 8);
        return hash_two(rotate(b, 37) * mul + a, (rotate(a, 25) + b) * mul,
                        mul);
    }
    if (len >= 4) {
        return hash_two(len + (fetch32(at) << 3), fetch32(at + len - 4), mul);
    }
    if (len > 0) {
        uint64_t y = at[0] + ((uint64_t)at[len >> 1] << 8);
        uint64_t z = len + ((uint64_t)at[len - 1] << 2);

        return mix(y * K2 ^ z * K0) * K2;
    }
    return K2;
}

static uint64_t
hash_to_32(const uint8_t *at, size_t len)
{
    uint64_t mul = K2 + len * 2;
    uint64_t a = fetch64(at) * K1;
    uint64_t b = fetch64(at + 8);
    uint64_t c = fetch64(at + len - 8) * mul;
    uint64_t d = fetch64(at + len - 16) * K2;

    return hash_two(rotate(a + b, 43) + rotate(c, 30) + d,
                    a + rotate(b + K2, 18) + c, mul);
}

static uint64_t
hash_to_64(const uint8_t *at, size_t len)
{
    uint64_t mul = K2 + len * 2;
    uint64_t a = fetch64(at) * K2;
    uint64_t b = fetch64(at + 8);
    uint64_t c = fetch64(at + len - 8) * mul;
    uint64_t d = fetch64(at + len - 16) * K2;
    uint64_t y = rotate(a + b, 43) + rotate(c, 30) + d;
    uint64_t z = hash_two(y, a + rotate(b + K2, 18) + c, mul);
    uint64_t e = fetch64(at + 16) * mul;
    uint64_t f = fetch64(at + 24);
    uint64_t g = (y + fetch64(at + len - 32)) * mul;
    uint64_t h = (z + fetch64(at + len - 24)) * mul;

    return hash_two(rotate(e + f, 43) + rotate(g, 30) + h,
                    e + rotate(f + a, 18) + g, mul);
}

struct pair {
    uint64_t first;
    uint64_t second;
};

static struct pair
hash_32(const uint8_t *at, uint64_t a, uint64_t b)
{
    uint64_t w = fetch64(at);
    uint64_t x = fetch64(at + 8);
    uint64_t y = fetch64(at + 16);
    uint64_t z = fetch64(at + 24);
    uint64_t c;

    a += w;
    b = rotate(b + a + z, 21);
    c = a;
    a += x;
    a += y;
    b += rotate(a, 44);
    return (struct pair){ a + z, b + c };
}

static uint64_t
hash_long(const uint8_t *at, size_t len)
{
    uint64_t x = 81;
    uint64_t y = UINT64_C(81) * K1 + 113;
    uint64_t z = mix(y * K2 + 113) * K2;
    struct pair v = { 0, 0 };
    struct pair w = { 0, 0 };
    const uint8_t *end = at + (len - 1) / 64 * 64;
    const uint8_t *last = end + ((len - 1) & 63) - 63;
    uint64_t mul = K1;
    uint64_t swap;

    x = x * K2 + fetch64(at);
    for (;;) {
        bool is_last = at == end;

        if (is_last) {
            mul = K1 + ((z & 0xff) << 1);
            at = last;
            w.first += (len - 1) & 63;
            v.first += w.first;
            w.first += v.first;
        }
        x = rotate(x + y + v.first + fetch64(at + 8), 37) * mul;
        y = rotate(y + v.second + fetch64(at + 48), 42) * mul;
        x ^= is_last ? w.second * 9 : w.second;
        y += (is_last ? v.first * 9 : v.first) + fetch64(at + 40);
        z = rotate(z + w.first, 33) * mul;
        v = hash_32(at, v.second * mul, x + w.first);
        w = hash_32(at + 32, z + w.second, y + fetch64(at + 16));
        swap = z;
        z = x;
        x = swap;
        if (is_last) {
            break;
        }
        at += 64;
    }
    return hash_two(hash_two(v.first, w.first, mul) + mix(y) * K0 + z,
                    hash_two(v.second, w.second, mul) + x, mul);
}

uint64_t
tk_fingerprint64(tikv_slice bytes)
{
    if (bytes.len <= 16) {
        return hash_short(bytes.data, bytes.len);
    }
    if (bytes.len <= 32) {
        return hash_to_32(bytes.data, bytes.len);
    }
    return bytes.len <= 64 ? hash_to_64(bytes.data, bytes.len)
                         : hash_long(bytes.data, bytes.len);
}
