#include "rpc/call.h"
#include "own.h"
