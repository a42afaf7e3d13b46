#include <grpc/grpc.h>
#include "txn/txn.h"
#include "region/send.h"
#include <tikv/raw.h>
