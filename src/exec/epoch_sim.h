/* SPDX-License-Identifier: Apache-2.0 */
/* The epochs of a simulation: one thread, so two numbers do. */
#ifndef TK_EXEC_EPOCH_SIM_H
#define TK_EXEC_EPOCH_SIM_H

#include "exec/epoch.h"

struct tk_epoch {
    uint32_t depth; /* open read sections: no switch of fibers inside */
    struct tk_retired *retired;
};

#endif
