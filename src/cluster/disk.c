/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of the file system. Every name is looked up below the
 * descriptor of the directory, so it may be moved while it is in use. The
 * lock is flock()'s: it goes with the process, however that ends.
 */
#include "cluster/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"

#define LOCK_NAME "LOCK"

struct directory {
    struct tk_disk disk; /* first */
    int fd;
    int lock_fd;
};

static struct directory *
directory_of(struct tk_disk *disk)
{
    return (struct directory *)(void *)disk;
}

static int
or_errno(int result)
{
    return result < 0 ? -errno : result;
}

static int
lock(struct tk_disk *disk)
{
    struct directory *directory = directory_of(disk);

    directory->lock_fd = openat(directory->fd, LOCK_NAME,
                                O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (directory->lock_fd < 0) {
        return -errno;
    }
    return or_errno(flock(directory->lock_fd, LOCK_EX | LOCK_NB));
}

static int
list(struct tk_disk *disk, void (*each)(void *, const char *), void *arg)
{
    int fd = openat(directory_of(disk)->fd, ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (open == NULL) {
        result = -errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return result;
    }
    for (errno = 0; (entry = readdir(open)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, LOCK_NAME) != 0) {
            each(arg, entry->d_name);
        }
    }
    result = -errno;
    (void)closedir(open);
    return result;
}

static int
open_file(struct tk_disk *disk, const char *name, bool create)
{
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0);

    return or_errno(openat(directory_of(disk)->fd, name, flags, 0644));
}

static void
close_file(struct tk_disk *disk, int file)
{
    (void)disk;
    (void)close(file);
}

static int64_t
size(struct tk_disk *disk, int file)
{
    struct stat facts;

    (void)disk;
    return fstat(file, &facts) < 0 ? -errno : (int64_t)facts.st_size;
}

static int64_t
read_file(struct tk_disk *disk, int file, uint64_t at, void *data, size_t len)
{
    size_t done = 0;

    (void)disk;
    while (done < len) {
        ssize_t got = pread(file, (uint8_t *)data + done, len - done,
                            (off_t)(at + done));

        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return (int64_t)done;
}

static int
write_file(struct tk_disk *disk, int file, uint64_t at, const void *data,
           size_t len)
{
    size_t done = 0;

    (void)disk;
    while (done < len) {
        ssize_t put = pwrite(file, (const uint8_t *)data + done, len - done,
                             (off_t)(at + done));

        if (put < 0 && errno != EINTR) {
            return -errno;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

static int
cut(struct tk_disk *disk, int file, uint64_t to)
{
    (void)disk;
    return or_errno(ftruncate(file, (off_t)to));
}

static int
sync_file(struct tk_disk *disk, int file)
{
    (void)disk;
    return or_errno(fdatasync(file));
}

static int
rename_file(struct tk_disk *disk, const char *from, const char *to)
{
    int fd = directory_of(disk)->fd;

    return or_errno(renameat(fd, from, fd, to));
}

static int
remove_file(struct tk_disk *disk, const char *name)
{
    return or_errno(unlinkat(directory_of(disk)->fd, name, 0));
}

static int
sync_names(struct tk_disk *disk)
{
    return or_errno(fsync(directory_of(disk)->fd));
}

static void
free_directory(struct tk_disk *disk)
{
    struct directory *directory = directory_of(disk);

    if (directory->lock_fd >= 0) {
        (void)close(directory->lock_fd);
    }
    if (directory->fd >= 0) {
        (void)close(directory->fd);
    }
    tk_free(directory);
}

/* The name of a directory that was made lies in the one above it. */
static void
sync_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent >= 0) {
        (void)fsync(parent);
        (void)close(parent);
    }
}

tikv_error *
tk_disk_open(const char *path, struct tk_disk **out)
{
    static const struct tk_disk_ops ops = {
        .lock = lock,
        .list = list,
        .open = open_file,
        .close = close_file,
        .size = size,
        .read = read_file,
        .write = write_file,
        .cut = cut,
        .sync = sync_file,
        .rename = rename_file,
        .remove = remove_file,
        .sync_names = sync_names,
        .free = free_directory,
    };
    size_t len = strlen(path) + 1;
    struct directory *directory = tk_calloc(sizeof(*directory) + len);
    char text[128];
    tikv_error *error = NULL;
    bool is_made;

    *out = NULL;
    if (directory == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    memcpy(directory + 1, path, len);
    directory->disk.ops = &ops;
    directory->disk.name = (const char *)(directory + 1);
    directory->lock_fd = -1;
    is_made = mkdir(path, 0755) == 0;
    directory->fd = is_made || errno == EEXIST
                        ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : -1;
    if (directory->fd < 0) {
        error = tk_error(TIKV_ERR_ARGUMENT, "%s: %s", path,
                         strerror_r(errno, text, sizeof(text)));
        free_directory(&directory->disk);
        return error;
    }
    if (is_made) {
        sync_parent(directory->fd);
    }
    *out = &directory->disk;
    return NULL;
}
