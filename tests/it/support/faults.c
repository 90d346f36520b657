// Faults of the machine for one process, by LD_PRELOAD: a slow or failing fsync, and a wall clock that jumps.
// `faults.rs` shares the numbers below with it through the file that CARDHOOK_TEST_FAULTS names.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct faults {
  int64_t sync_delay_us;
  int64_t sync_errno;
  int64_t syncs_failed;
  int64_t clock_offset_ms;
};

static volatile struct faults *faults;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("CARDHOOK_TEST_FAULTS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) abort();
  void *shared = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) abort();
  close(file);
  faults = shared;
}

static int sync_with(int (*real)(int), int file) {
  if (!faults) return real(file);
  if (faults->sync_delay_us > 0) usleep(faults->sync_delay_us);
  if (faults->sync_errno) {
    __atomic_fetch_add(&faults->syncs_failed, 1, __ATOMIC_RELAXED);
    errno = (int)faults->sync_errno;
    return -1;
  }
  return real(file);
}

int fsync(int file) { return sync_with(real_fsync, file); }

int fdatasync(int file) { return sync_with(real_fdatasync, file); }

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
