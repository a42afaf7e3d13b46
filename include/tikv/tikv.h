/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_TIKV_H
#define TIKV_TIKV_H

/* Everything of the client. <tikv/cluster.h>, the embedded cluster for
 * tests, is a library of its own and not included here. */

#include <tikv/base.h>
#include <tikv/client.h>
#include <tikv/config.h>
#include <tikv/details.h>
#include <tikv/error.h>
#include <tikv/future.h>
#include <tikv/locks.h>
#include <tikv/mvcc.h>
#include <tikv/oracle.h>
#include <tikv/raw.h>
#include <tikv/request.h>
#include <tikv/snapshot.h>
#include <tikv/stream.h>
#include <tikv/topology.h>
#include <tikv/txn.h>
#include <tikv/version.h>

#endif
