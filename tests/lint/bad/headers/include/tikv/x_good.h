#ifndef X_GOOD_H
#define X_GOOD_H
#include <tikv/base.h>
int good(tikv_slice a);
#endif
