/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: each gets the words after its name, returns an exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli.h"

int cli_get(struct cli *cli, int argc, char **argv);
int cli_put(struct cli *cli, int argc, char **argv);
int cli_delete(struct cli *cli, int argc, char **argv);
int cli_scan(struct cli *cli, int argc, char **argv);
int cli_batch_get(struct cli *cli, int argc, char **argv);
int cli_batch_put(struct cli *cli, int argc, char **argv);
int cli_cas(struct cli *cli, int argc, char **argv);
int cli_ttl(struct cli *cli, int argc, char **argv);
int cli_checksum(struct cli *cli, int argc, char **argv);
int cli_delete_range(struct cli *cli, int argc, char **argv);
int cli_txn_get(struct cli *cli, int argc, char **argv);
int cli_txn_scan(struct cli *cli, int argc, char **argv);
int cli_txn_locks(struct cli *cli, int argc, char **argv);
int cli_txn_resolve(struct cli *cli, int argc, char **argv);
int cli_txn_mvcc(struct cli *cli, int argc, char **argv);
int cli_tso(struct cli *cli, int argc, char **argv);
int cli_regions(struct cli *cli, int argc, char **argv);
int cli_stores(struct cli *cli, int argc, char **argv);
int cli_import(struct cli *cli, int argc, char **argv);
int cli_export(struct cli *cli, int argc, char **argv);
int cli_cluster(struct cli *cli, int argc, char **argv);
int cli_show_help(struct cli *cli, int argc, char **argv);

/* The operands START and END of a range; false after a message. Freed with
 * cli_range_free(). */
bool
cli_range(struct cli *cli, int argc, char **argv, tikv_range *out);

void
cli_range_free(tikv_range *range);

/* One pair as a line of the chosen output; an absent value is left out. */
void
cli_put_pair(const struct cli *cli, FILE *out, const tikv_pair *pair);

#endif
