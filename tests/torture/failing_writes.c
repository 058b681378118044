/* Writes and syncs of files fail while FAULT_ON is armed: `arm(after, count, error)` lets the `after` next ones pass,
   then `count` of them fail with `error`. Sockets, pipes and terminals are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static volatile long pass = 0, left = 0, failed = 0;
static volatile int with = 0;

void arm(long after, long count, int error) { pass = after; with = error; left = count; }
long failures(void) { return failed; }

static int fails(int fd) {
    struct stat what;
    if (left <= 0 || fstat(fd, &what) != 0 || !S_ISREG(what.st_mode)) return 0;
    if (pass > 0) { pass--; return 0; }
    left--; failed++; errno = with;
    return 1;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *from, size_t n) { REAL(ssize_t, write, int, const void *, size_t); return fails(fd) ? -1 : real(fd, from, n); }
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) { REAL(ssize_t, pwrite, int, const void *, size_t, off_t); return fails(fd) ? -1 : real(fd, from, n, at); }
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) { REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t); return fails(fd) ? -1 : real(fd, from, n, at); }
int fsync(int fd) { REAL(int, fsync, int); return fails(fd) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(int, fdatasync, int); return fails(fd) ? -1 : real(fd); }
int ftruncate(int fd, off_t to) { REAL(int, ftruncate, int, off_t); return fails(fd) ? -1 : real(fd, to); }
int ftruncate64(int fd, off64_t to) { REAL(int, ftruncate64, int, off64_t); return fails(fd) ? -1 : real(fd, to); }
