/* Keeps, beside a tree of files, what of it would survive a power cut.
 *
 * Whenever a regular file below SHADOW_ROOT is synced, its bytes as they were before the sync began are kept in
 * SHADOW_STORE; whenever a directory is, its names are. Both are kept under the inode's key (device, inode, time of
 * birth), and only once the sync has succeeded, under a temporary name until they are whole. Syncs of one inode take
 * turns, over all processes, so that an older state never takes the place of a newer one.
 * With SHADOW_WALK=all the whole tree is kept as if it had just been synced, and the process ends; with SHADOW_WALK=names
 * only the names are. The root's key is written to the file `root`. A listing is a sequence of `d key name` and
 * `f key name`, each ended by a zero byte. Syncs of paths that hold the text of SHADOW_FORGET are not kept, as if they had not
 * been called for. Status 139 means that the shim itself failed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_BYTES 128
#define LOCKS 64
#define FAILED 139

static int active;
static char root[PATH_MAX], store[PATH_MAX];
static size_t root_length;
static const char *forget;

static void fail(const char *what) {
  dprintf(2, "shadow: %s: %s\n", what, strerror(errno));
  _exit(FAILED);
}

static void stat_key(int directory, const char *name, int flags, char *key, mode_t *mode) {
  struct statx found;
  if (statx(directory, name, flags, STATX_TYPE | STATX_INO | STATX_BTIME, &found)) {
    /* A name may vanish while its directory is read. */
    key[0] = 0;
    return;
  }
  if (!(found.stx_mask & STATX_BTIME)) fail("the file system does not tell when a file was made");
  snprintf(key, KEY_BYTES, "%x-%x-%llx-%llx-%x", found.stx_dev_major, found.stx_dev_minor, (unsigned long long)found.stx_ino,
           (unsigned long long)found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
  *mode = found.stx_mode;
}

static int is_kept(int file) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (forget && strstr(path, forget)) return 0;
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static void store_path(char *path, const char *name) {
  if (snprintf(path, PATH_MAX, "%s/%s", store, name) >= PATH_MAX) fail("a path is too long");
}

static int make_temporary(char *path) {
  char name[64];
  snprintf(name, sizeof name, "new-%d-%ld", getpid(), syscall(SYS_gettid));
  store_path(path, name);
  int made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (made < 0) fail("a copy cannot be made");
  return made;
}

static void write_all(int file, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = write(file, bytes, count);
    if (written < 0) fail("a copy cannot be written");
    bytes += written;
    count -= (size_t)written;
  }
}

static void copy_bytes(int from, int to) {
  char piece[65536];
  for (off_t offset = 0;;) {
    ssize_t count = pread(from, piece, sizeof piece, offset);
    if (count < 0) fail("a file cannot be read");
    if (count == 0) return;
    write_all(to, piece, (size_t)count);
    offset += count;
  }
}

static void copy_names(int from, int to) {
  DIR *directory = fdopendir(dup(from));
  if (!directory) fail("a directory cannot be read");
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    char key[KEY_BYTES];
    mode_t mode = 0;
    stat_key(from, entry->d_name, AT_SYMLINK_NOFOLLOW, key, &mode);
    if (key[0]) dprintf(to, "%c %s %s%c", S_ISDIR(mode) ? 'd' : 'f', key, entry->d_name, 0);
  }
  closedir(directory);
}

/* Writes what there is of an inode to a temporary file, whose path is given; the inode must not be synced by others. */
static void keep(int file, mode_t mode, char *temporary) {
  char again[64];
  snprintf(again, sizeof again, "/proc/self/fd/%d", file);
  int from = open(again, O_RDONLY | O_CLOEXEC), to = make_temporary(temporary);
  if (from < 0) fail("a file cannot be opened again");
  if (S_ISDIR(mode)) copy_names(from, to);
  else copy_bytes(from, to);
  close(from);
  close(to);
}

static void publish(const char *temporary, const char *key) {
  char path[PATH_MAX];
  store_path(path, key);
  if (rename(temporary, path)) fail("a copy cannot be named");
}

static int take_turn(const char *key) {
  unsigned long hash = 5381;
  for (const char *letter = key; *letter; letter++) hash = hash * 33 + (unsigned char)*letter;
  char name[32], path[PATH_MAX];
  snprintf(name, sizeof name, "lock-%lu", hash % LOCKS);
  store_path(path, name);
  int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX)) fail("no turn can be taken");
  return lock;
}

static int synced(int file, int (*sync)(int)) {
  char key[KEY_BYTES], temporary[PATH_MAX];
  mode_t mode = 0;
  if (!active || !is_kept(file)) return sync(file);
  stat_key(file, "", AT_EMPTY_PATH, key, &mode);
  if (!key[0]) fail("a file cannot be told from others");
  if (!S_ISREG(mode) && !S_ISDIR(mode)) return sync(file);
  int lock = take_turn(key);
  keep(file, mode, temporary);
  int result = sync(file), reason = errno;
  if (result == 0) publish(temporary, key);
  else unlink(temporary);
  close(lock);
  errno = reason;
  return result;
}

static void walk(int parent, const char *name, int with_bytes, int is_root) {
  char key[KEY_BYTES], temporary[PATH_MAX], path[PATH_MAX];
  mode_t mode = 0;
  int file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) fail(name);
  stat_key(file, "", AT_EMPTY_PATH, key, &mode);
  if (is_root) {
    store_path(path, "root");
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) fail("the root's key");
    write_all(to, key, strlen(key));
    close(to);
  }
  if (S_ISDIR(mode) || with_bytes) {
    keep(file, mode, temporary);
    publish(temporary, key);
  }
  if (S_ISDIR(mode)) {
    DIR *directory = fdopendir(dup(file));
    if (!directory) fail(name);
    for (struct dirent *entry; (entry = readdir(directory));)
      if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) walk(file, entry->d_name, with_bytes, 0);
    closedir(directory);
  }
  close(file);
}

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("SHADOW_ROOT"), *kept = getenv("SHADOW_STORE"), *whole = getenv("SHADOW_WALK");
  if (!folder || !kept) return;
  if (!realpath(folder, root) || !realpath(kept, store)) fail("the folders of the shadow");
  root_length = strlen(root);
  if (whole) {
    walk(AT_FDCWD, root, strcmp(whole, "all") == 0, 1);
    _exit(0);
  }
  forget = getenv("SHADOW_FORGET");
  active = 1;
}

int fsync(int file) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return synced(file, real);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return synced(file, real);
}
