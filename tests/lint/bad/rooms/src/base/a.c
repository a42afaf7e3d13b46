/* #include "api/x.h" */
#include "exec/pool.h"
#include "alloc.h"
#include "kvrpcpb.upb.h"
#include "base/ok.h"
