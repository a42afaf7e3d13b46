/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of transactions that write. */
#ifndef CLI_TXN_H
#define CLI_TXN_H

#include "cli_run.h"

int
cli_txn_put(struct cli *cli, int argc, char **argv);
int
cli_txn_delete(struct cli *cli, int argc, char **argv);
int
cli_txn_run(struct cli *cli, int argc, char **argv);
int
cli_txn_outcome(struct cli *cli, int argc, char **argv);

#endif
