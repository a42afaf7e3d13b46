/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target as a plain program: runs the inputs that the files on the
 * command line hold, once each. For replaying a corpus or a crash where there
 * is no libFuzzer. Every input lies in a block of its size.
 */
#include "fuzz.h"

#include <stdio.h>

static bool
run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    bool is_ok = false;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        rewind(file);
    }
    if (size >= 0) {
        data = malloc(size == 0 ? 1 : (size_t)size);
    }
    if (data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size) {
        LLVMFuzzerTestOneInput(data, (size_t)size);
        is_ok = true;
    }
    free(data);
    if (file != NULL) {
        fclose(file);
    }
    if (!is_ok) {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    return is_ok;
}

int
main(int argc, char **argv)
{
    bool is_ok = true;
    int i;

    for (i = 1; i < argc; i++) {
        is_ok = run_file(argv[i]) && is_ok;
    }
    printf("%d inputs\n", argc - 1);
    return is_ok ? 0 : 1;
}
