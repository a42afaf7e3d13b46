/* SPDX-License-Identifier: Apache-2.0 */
/* The fingerprint against numbers that its original gave. */
#include "harness/harness.h"

#include "base/fingerprint.h"
#include "base/slice.h"

enum { LONGEST = 1000 };

/* Of the first bytes of a pattern: every way through the function, and the
 * lengths on both sides of where they part. */
static const struct {
    size_t len;
    uint64_t fingerprint;
} known[] = {
    { 0, UINT64_C(0x9ae16a3b2f90404f) },
    { 1, UINT64_C(0x47a24c13b17e583e) },
    { 2, UINT64_C(0xbaf1b4cf5d1e20e1) },
    { 3, UINT64_C(0xd0fd4e7805d30b11) },
    { 4, UINT64_C(0x23fc76b4d6c3e47a) },
    { 7, UINT64_C(0xcb6f69b73b81da6b) },
    { 8, UINT64_C(0xd3a4162ec5d85606) },
    { 9, UINT64_C(0x748ab847ca9b3311) },
    { 15, UINT64_C(0x6d8c84c8c8504f7b) },
    { 16, UINT64_C(0x4faf3db5468c1714) },
    { 17, UINT64_C(0xcbebd63071f0259b) },
    { 24, UINT64_C(0xf46afbaf96d9b238) },
    { 31, UINT64_C(0xf46b8bbc97a52b51) },
    { 32, UINT64_C(0x70611145f2ddd56f) },
    { 33, UINT64_C(0x44212babca0b2820) },
    { 48, UINT64_C(0x50bf150ee3ea57e6) },
    { 63, UINT64_C(0x16b78b079e9b917a) },
    { 64, UINT64_C(0x3fbe197dd6123ee4) },
    { 65, UINT64_C(0x6b1f9fccc5711998) },
    { 100, UINT64_C(0xb75e5a66cc179788) },
    { 127, UINT64_C(0x939341c9dc2a4930) },
    { 128, UINT64_C(0x744d270ff0ea6436) },
    { 129, UINT64_C(0x4db8db8f20d2200e) },
    { 192, UINT64_C(0xcb14ef910766180b) },
    { 200, UINT64_C(0xbb9bf84e92f609ba) },
    { 255, UINT64_C(0xb76007d319359c71) },
    { 256, UINT64_C(0x1c9d41c64ff821a9) },
    { 1000, UINT64_C(0xe368f5fc5969af92) },
};

static void
fingerprint__is_that_of_the_original(void **state)
{
    uint8_t bytes[LONGEST];
    size_t i;

    (void)state;
    for (i = 0; i < LONGEST; i++) {
        bytes[i] = (uint8_t)(i * 131 + (i >> 3) * 7 + 1);
    }
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_true(tk_fingerprint64(tk_slice(bytes, known[i].len)) ==
                    known[i].fingerprint);
    }
    assert_true(tk_fingerprint64(tk_slice_text("key")) ==
                UINT64_C(0x0bb7560e11262cdb));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprint__is_that_of_the_original),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
