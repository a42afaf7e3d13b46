#ifndef X_ALONE_H
#define X_ALONE_H
size_t needs_stddef(void);
#endif
