/* What goes wrong on a machine, for a program that is started with this library in LD_PRELOAD (glibc). The environment
 * says what:
 *
 *   FAULT_MALLOC=N     the N-th request for memory fails; -N: it and all that follow
 *   FAULT_THREADS=N    there are N threads besides the first, and no more
 *   FAULT_WRITE=N      write() takes N bytes at a time, and every third call is interrupted
 *   FAULT_DISK=N       write() takes N bytes in all, but for the standard streams; then the disk is full
 *   FAULT_FSYNC=1      fsync() fails
 *   FAULT_NAME=TEXT    no file can be created whose path has TEXT in it, as some file systems refuse some characters
 *   FAULT_PAUSE=PATH   before a file gets its final name, the program makes PATH and waits for it to vanish
 *   FAULT_COUNT=PATH   a file that the number of requests for memory is written to at the end
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

/* getenv takes no memory; before the C library is set up there is no environment, and nothing fails. */
static long number_of(char const* name) {
  char const* const text = getenv(name);
  return text == NULL ? 0 : atol(text);
}

static _Atomic long requests;

static int fails(void) {
  static _Atomic long failing;
  static _Atomic int known;
  if (!known && environ != NULL) {
    failing = number_of("FAULT_MALLOC");
    known = 1;
  }
  long const number = ++requests, chosen = failing;
  if (chosen == 0 || (chosen > 0 ? number != chosen : number < -chosen)) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* p, size_t size) { return fails() ? NULL : __libc_realloc(p, size); }
void* memalign(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** p, size_t alignment, size_t size) {
  *p = memalign(alignment, size);
  return *p == NULL ? ENOMEM : 0;
}

int pthread_create(pthread_t* thread, pthread_attr_t const* attributes, void* (*start)(void*), void* argument) {
  static _Atomic long made;
  int (*behind)(pthread_t*, pthread_attr_t const*, void* (*)(void*), void*);
  *(void**)&behind = dlsym(RTLD_NEXT, "pthread_create");
  if (getenv("FAULT_THREADS") != NULL && ++made > number_of("FAULT_THREADS")) return EAGAIN;
  return behind(thread, attributes, start, argument);
}

ssize_t write(int fd, void const* bytes, size_t size) {
  static _Atomic long calls, written;
  long const piece = number_of("FAULT_WRITE"), room = number_of("FAULT_DISK");
  if (piece > 0) {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    if (size > (size_t)piece) size = (size_t)piece;
  }
  if (room > 0 && fd > STDERR_FILENO) {
    if (written >= room) {
      errno = ENOSPC;
      return -1;
    }
    if (size > (size_t)(room - written)) size = (size_t)(room - written);
    written += (long)size;
  }
  return syscall(SYS_write, fd, bytes, size);
}

int fsync(int fd) {
  if (number_of("FAULT_FSYNC") == 0) return (int)syscall(SYS_fsync, fd);
  errno = EIO;
  return -1;
}

/* Of a file that is created. */
static int refused(char const* path, int flags) {
  char const* const part = getenv("FAULT_NAME");
  if (part == NULL || (flags & O_CREAT) == 0 || strstr(path, part) == NULL) return 0;
  errno = EINVAL;
  return 1;
}
int open(char const* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t const mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return refused(path, flags) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open64(char const*, int, ...) __attribute__((alias("open")));

static void pause_here(void) {
  char const* const path = getenv("FAULT_PAUSE");
  if (path == NULL) return;
  close(open(path, O_CREAT | O_WRONLY, 0666));
  while (access(path, F_OK) == 0) usleep(1000);
}

int rename(char const* from, char const* to) {
  pause_here();
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int link(char const* from, char const* to) {
  pause_here();
  return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

__attribute__((destructor)) static void tell(void) {
  char const* const path = getenv("FAULT_COUNT");
  if (path == NULL) return;
  char text[32];
  int const size = snprintf(text, sizeof text, "%ld", (long)requests);
  int const fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
  if (fd < 0 || syscall(SYS_write, fd, text, (size_t)size) != size) abort();
  close(fd);
}
