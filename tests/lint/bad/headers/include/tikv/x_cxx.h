#ifndef X_CXX_H
#define X_CXX_H
int f(int class);
#endif
