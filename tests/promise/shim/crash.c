/* Ends the process right before or right after its n-th durability step, as a crash would.
 *
 * A step is a call that makes, names, renames, removes, syncs or writes a file below CRASH_ROOT. Steps are counted over
 * all threads of the one process that was started with the shim, even where it begins its program anew; its children are
 * left alone. CRASH_AT is the number of the step (0: none, only count), CRASH_WHEN is `before` or `after`, CRASH_LOG gets
 * one line a step: number, call, path.
 * Writes of bytes are steps only where CRASH_WRITES is set: none of them alone makes anything durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long steps;
static long crash_at;
static int crash_before, count_writes, log_file = -1, active;
static char root[PATH_MAX];
static size_t root_length;

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("CRASH_ROOT"), *log = getenv("CRASH_LOG");
  const char *at = getenv("CRASH_AT"), *when = getenv("CRASH_WHEN");
  const char *taken = getenv("CRASH_PROCESS");
  char self[32];
  snprintf(self, sizeof self, "%ld", (long)getpid());
  if (!folder || !at || !when || (taken && strcmp(taken, self)) || !realpath(folder, root)) return;
  setenv("CRASH_PROCESS", self, 1);
  root_length = strlen(root);
  crash_at = atol(at);
  crash_before = strcmp(when, "before") == 0;
  count_writes = getenv("CRASH_WRITES") != NULL;
  if (log) log_file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  active = 1;
}

static int is_below(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* The path of a name that is relative to a directory's descriptor. */
static void full_path(int directory, const char *name, char *path) {
  path[0] = 0;
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
    return;
  }
  char link[64], base[PATH_MAX];
  if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, base, sizeof base - 1);
  if (length < 0) return;
  base[length] = 0;
  if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[0] = 0;
}

static int is_regular_or_directory(int file) {
  struct stat found;
  return fstat(file, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
}

static int path_of(int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
  return length > 0;
}

/* Counts a step; gives its number, or 0 where it is none. */
static long enter(const char *call, const char *path) {
  if (!active || !is_below(path)) return 0;
  long number = atomic_fetch_add(&steps, 1) + 1;
  if (log_file >= 0) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path + root_length);
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (real(log_file, line, (size_t)length) < 0) _exit(138);
  }
  if (crash_before && number == crash_at) _exit(137);
  return number;
}

static long enter_file(const char *call, int file) {
  char path[PATH_MAX];
  int kept = errno;
  long number = active && is_regular_or_directory(file) && path_of(file, path) ? enter(call, path) : 0;
  errno = kept;
  return number;
}

static long enter_name(const char *call, int directory, const char *name) {
  char path[PATH_MAX];
  if (!active) return 0;
  full_path(directory, name, path);
  return enter(call, path);
}

static void leave(long number) {
  if (number && !crash_before && number == crash_at) _exit(137);
}

#define REAL(result, name, ...)                            \
  static result (*real)(__VA_ARGS__);                      \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define STEP(result, number, call) \
  do {                             \
    long step = number;            \
    result done = call;            \
    int kept = errno;              \
    leave(step);                   \
    errno = kept;                  \
    return done;                   \
  } while (0)

int fsync(int file) {
  REAL(int, "fsync", int);
  STEP(int, enter_file("fsync", file), real(file));
}
int fdatasync(int file) {
  REAL(int, "fdatasync", int);
  STEP(int, enter_file("fdatasync", file), real(file));
}
int ftruncate(int file, off_t length) {
  REAL(int, "ftruncate", int, off_t);
  STEP(int, enter_file("ftruncate", file), real(file, length));
}
int ftruncate64(int file, off64_t length) {
  REAL(int, "ftruncate64", int, off64_t);
  STEP(int, enter_file("ftruncate", file), real(file, length));
}
ssize_t write(int file, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  STEP(ssize_t, count_writes ? enter_file("write", file) : 0, real(file, bytes, count));
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  STEP(ssize_t, count_writes ? enter_file("pwrite", file) : 0, real(file, bytes, count, offset));
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  STEP(ssize_t, count_writes ? enter_file("pwrite", file) : 0, real(file, bytes, count, offset));
}
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  STEP(int, enter_name("rename", AT_FDCWD, to), real(from, to));
}
int renameat(int above, const char *from, int below, const char *to) {
  REAL(int, "renameat", int, const char *, int, const char *);
  STEP(int, enter_name("rename", below, to), real(above, from, below, to));
}
int renameat2(int above, const char *from, int below, const char *to, unsigned int flags) {
  REAL(int, "renameat2", int, const char *, int, const char *, unsigned int);
  STEP(int, enter_name("rename", below, to), real(above, from, below, to, flags));
}
int link(const char *from, const char *to) {
  REAL(int, "link", const char *, const char *);
  STEP(int, enter_name("link", AT_FDCWD, to), real(from, to));
}
int linkat(int above, const char *from, int below, const char *to, int flags) {
  REAL(int, "linkat", int, const char *, int, const char *, int);
  STEP(int, enter_name("link", below, to), real(above, from, below, to, flags));
}
int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  STEP(int, enter_name("unlink", AT_FDCWD, path), real(path));
}
int unlinkat(int directory, const char *path, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  STEP(int, enter_name("unlink", directory, path), real(directory, path, flags));
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  STEP(int, enter_name("mkdir", AT_FDCWD, path), real(path, mode));
}
int mkdirat(int directory, const char *path, mode_t mode) {
  REAL(int, "mkdirat", int, const char *, mode_t);
  STEP(int, enter_name("mkdir", directory, path), real(directory, path, mode));
}

/* Only an open that may make a file is a step. */
#define OPENER(directory, ...)                                                             \
  va_list rest;                                                                       \
  va_start(rest, flags);                                                              \
  mode_t mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(rest, mode_t) : 0; \
  va_end(rest);                                                                       \
  STEP(int, flags & O_CREAT ? enter_name("create", directory, path) : 0, real(__VA_ARGS__, mode))

int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  OPENER(AT_FDCWD, path, flags);
}
int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  OPENER(AT_FDCWD, path, flags);
}
int openat(int directory, const char *path, int flags, ...) {
  REAL(int, "openat", int, const char *, int, ...);
  OPENER(directory, directory, path, flags);
}
int openat64(int directory, const char *path, int flags, ...) {
  REAL(int, "openat64", int, const char *, int, ...);
  OPENER(directory, directory, path, flags);
}
