/* Records what a process writes to the files under POWER_CUT_ROOT, and when it syncs them, to POWER_CUT_LOG.

Loaded with LD_PRELOAD. Each record is one write(2) to the log: op, path length, path, offset, data length, data. So the
log has the order in which the kernel saw the calls, and power_cut.py can work out what a disk may hold after a cut. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static void record_path(char op, const char *path, uint64_t offset, const void *data, size_t size) {
    const char *root = getenv("POWER_CUT_ROOT"), *log = getenv("POWER_CUT_LOG");
    if (root == NULL || log == NULL || strncmp(path, root, strlen(root)) != 0) {
        return;
    }
    path += strlen(root);
    uint8_t head[15];
    uint16_t path_size = (uint16_t)strlen(path);
    uint32_t data_size = (uint32_t)size;
    head[0] = (uint8_t)op;
    memcpy(head + 1, &path_size, 2);
    memcpy(head + 3, &offset, 8);
    memcpy(head + 11, &data_size, 4);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, path_size}, {(void *)data, size}};
    pthread_mutex_lock(&lock);
    if (log_fd < 0) {
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (writev(log_fd, parts, 3) != (ssize_t)(sizeof head + path_size + size)) {
        abort();
    }
    pthread_mutex_unlock(&lock);
}

static void record(char op, int fd, uint64_t offset, const void *data, size_t size) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        record_path(op, path, offset, data, size);
    }
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    ssize_t done = ((ssize_t(*)(int, const void *, size_t, off64_t))next("pwrite64"))(fd, data, size, offset);
    if (done > 0) {
        record('W', fd, (uint64_t)offset, data, (size_t)done);
    }
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t done = ((ssize_t(*)(int, const void *, size_t))next("write"))(fd, data, size);
    if (done > 0) {
        record('W', fd, (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)done, data, (size_t)done);
    }
    return done;
}

int ftruncate64(int fd, off64_t size) {
    int done = ((int (*)(int, off64_t))next("ftruncate64"))(fd, size);
    if (done == 0) {
        record('T', fd, (uint64_t)size, "", 0);
    }
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    int done = ((int (*)(int))next("fsync"))(fd);
    if (done == 0) {
        record('S', fd, 0, "", 0);
    }
    return done;
}

int fdatasync(int fd) {
    int done = ((int (*)(int))next("fdatasync"))(fd);
    if (done == 0) {
        record('S', fd, 0, "", 0);
    }
    return done;
}

int unlink(const char *path) {
    int done = ((int (*)(const char *))next("unlink"))(path);
    if (done == 0) {
        record_path('U', path, 0, "", 0);
    }
    return done;
}
