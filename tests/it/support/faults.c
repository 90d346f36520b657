// Faults of the machine for one process, by LD_PRELOAD: a slow or failing fsync, pages that a failed fsync lost, and a wall
// clock that jumps; and a name, app.test, that resolves to 127.0.0.N, or to nothing for a long time.
// `faults.rs` shares the numbers below with it through the file that TESTS_FAULTS_OF_CARDHOOK names.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct faults {
  int64_t sync_delay_us;
  int64_t sync_errno;
  int64_t syncs_failed;
  int64_t clock_offset_ms;
  int64_t lose_pages;
  int64_t sync_errno_of;
  int64_t name_octet;
  int64_t syncs;
};

// What stood where something was written since the last fsync of the file; the newest first.
struct written {
  struct written *next;
  dev_t device;
  ino_t inode;
  off_t at;
  size_t length;
  char before[];
};

static volatile struct faults *faults;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static struct written *unsynced;
static pthread_mutex_t unsynced_lock = PTHREAD_MUTEX_INITIALIZER;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_getaddrinfo = dlsym(RTLD_NEXT, "getaddrinfo");
  const char *path = getenv("TESTS_FAULTS_OF_CARDHOOK");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) abort();
  void *shared = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) abort();
  close(file);
  faults = shared;
}

static void remember(int file, size_t length, off_t at) {
  struct stat of;
  if (!faults || !faults->lose_pages || fstat(file, &of)) return;
  struct written *written = calloc(1, sizeof *written + length);
  if (!written) abort();
  if (pread(file, written->before, length, at) < 0) return free(written);
  written->device = of.st_dev;
  written->inode = of.st_ino;
  written->at = at;
  written->length = length;
  pthread_mutex_lock(&unsynced_lock);
  written->next = unsynced;
  unsynced = written;
  pthread_mutex_unlock(&unsynced_lock);
}

// After an fsync of the file: what was written before it is no longer in doubt. It is there, or it is lost.
static void settle(int file, bool lost) {
  struct stat of;
  if (!faults->lose_pages || fstat(file, &of)) return;
  pthread_mutex_lock(&unsynced_lock);
  for (struct written **place = &unsynced; *place;) {
    struct written *written = *place;
    if (written->device != of.st_dev || written->inode != of.st_ino) {
      place = &written->next;
      continue;
    }
    if (lost && real_pwrite(file, written->before, written->length, written->at) < 0) abort();
    *place = written->next;
    free(written);
  }
  pthread_mutex_unlock(&unsynced_lock);
}

// Whether the files whose fsync fails are these: all, or the databases without their logs.
static bool is_struck(int file) {
  char link[64], path[4096];
  if (!faults->sync_errno) return false;
  if (!faults->sync_errno_of) return true;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path);
  return length > 3 && !memcmp(path + length - 3, ".db", 3);
}

static int sync_with(int (*real)(int), int file) {
  if (!faults) return real(file);
  __atomic_fetch_add(&faults->syncs, 1, __ATOMIC_RELAXED);
  if (faults->sync_delay_us > 0) usleep(faults->sync_delay_us);
  if (is_struck(file)) {
    __atomic_fetch_add(&faults->syncs_failed, 1, __ATOMIC_RELAXED);
    settle(file, true);
    errno = (int)faults->sync_errno;
    return -1;
  }
  int result = real(file);
  settle(file, result != 0);
  return result;
}

int fsync(int file) { return sync_with(real_fsync, file); }

int fdatasync(int file) { return sync_with(real_fdatasync, file); }

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
  remember(file, length, at);
  return real_pwrite(file, bytes, length, at);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return pwrite64(file, bytes, length, at); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  // Before the constructor has run there is nothing to forward to yet.
  if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real_clock_gettime(clock, now);
  if (result == 0 && faults && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t ns = now->tv_nsec + (faults->clock_offset_ms % 1000) * 1000000;
    now->tv_sec += faults->clock_offset_ms / 1000 + (ns >= 1000000000) - (ns < 0);
    now->tv_nsec = ns + (ns < 0 ? 1000000000 : ns >= 1000000000 ? -1000000000 : 0);
  }
  return result;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  char address[16];
  if (faults && faults->name_octet && name && !strcmp(name, "app.test")) {
    if (faults->name_octet < 0) {
      sleep(60);
      return EAI_AGAIN;
    }
    snprintf(address, sizeof address, "127.0.0.%d", (int)(faults->name_octet & 0xff));
    name = address;
  }
  return real_getaddrinfo(name, service, hints, found);
}
