/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version, told in this one place: the soname, the version node of the
 * exported names, pkg-config and the programs are made from these lines.
 *
 * Before 1.0 a new minor may break a program that was built against the last
 * one, and the soname says so (libtikv.so.0.<minor>). From 1.0 on only a new
 * major may.
 */
#ifndef TIKV_VERSION_H
#define TIKV_VERSION_H

#include <tikv/base.h>

#define TIKV_VERSION_MAJOR 0
#define TIKV_VERSION_MINOR 1
#define TIKV_VERSION_PATCH 0
#define TIKV_VERSION_STRING "0.1.0"

/* One number that grows with every version: 1.2.3 is 1002003. */
#define TIKV_VERSION_NUMBER                                                    \
    (TIKV_VERSION_MAJOR * 1000000 + TIKV_VERSION_MINOR * 1000 +                \
     TIKV_VERSION_PATCH)

TIKV_BEGIN_DECLS

/* The version of the library that is running, where the macros above are the
 * version that the program was compiled against. */
TIKV_API uint32_t
tikv_version_number(void);
TIKV_API const char *
tikv_version_string(void);

TIKV_END_DECLS

#endif
