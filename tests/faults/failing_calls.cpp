// Makes one system call of a program fail, or kills it there. For LD_PRELOAD. Counted are the calls that
// write below a directory, in the order they come.
//
//   BRUME_FAULT_BELOW   the directory; without it nothing happens
//   BRUME_FAULT_AT      which of them, from 1
//   BRUME_FAULT_CALLS   of which kinds, with spaces between: open write sync rename truncate; all without it
//   BRUME_FAULT_HOW     a number: this errno, and nothing done; "short": half of a write is done, then
//   ENOSPC;
//                       "kill": SIGKILL before the call; "torn": SIGKILL in the middle of a write
//   BRUME_FAULT_MARK    a file that is made when it happens
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<long> calls = 0;
std::atomic<bool> half_done = false;  // a short write was made: the rest fails

const char* setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

bool is_below(const char* path) {
  const char* directory = setting("BRUME_FAULT_BELOW", "");
  const size_t length = std::strlen(directory);
  return length != 0 && path != nullptr && std::strncmp(path, directory, length) == 0;
}

bool is_below(int fd) {
  char link[64];
  char path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return is_below(path);
}

bool is_counted(const char* kind) {
  const char* kinds = setting("BRUME_FAULT_CALLS", "");
  return *kinds == '\0' || std::strstr(kinds, kind) != nullptr;
}

bool is_how(const char* how) { return std::strcmp(setting("BRUME_FAULT_HOW", "5"), how) == 0; }

/// Whether this call is the one.
bool is_its_turn(const char* kind) {
  if (!is_counted(kind) || ++calls != std::atol(setting("BRUME_FAULT_AT", "0"))) return false;
  if (const char* mark = std::getenv("BRUME_FAULT_MARK"))
    ::close(static_cast<int>(::syscall(SYS_openat, AT_FDCWD, mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
  return true;
}

/// True if the call must not be made; errno is set.
bool fails(const char* kind) {
  if (!is_its_turn(kind)) return false;
  if (is_how("kill") || is_how("torn")) ::kill(::getpid(), SIGKILL);
  errno = is_how("short") ? ENOSPC : std::atoi(setting("BRUME_FAULT_HOW", "5"));
  return true;
}

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

int open_for(const char* name, const char* path, int flags, mode_t mode) {
  // A directory is opened to sync it. What is only read is not our matter.
  const bool counted = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY)) != 0 && is_below(path);
  if (counted && fails("open")) return -1;
  return real<int (*)(const char*, int, mode_t)>(name)(path, flags, mode);
}

template <class Write>
ssize_t write_some(int fd, size_t size, const Write& write) {
  if (!is_below(fd)) return write(size);
  if (half_done) {
    errno = ENOSPC;
    return -1;
  }
  const bool cut = is_how("short") || is_how("torn");
  if (!cut) return fails("write") ? -1 : write(size);
  if (!is_its_turn("write")) return write(size);
  const ssize_t done = write(size / 2);
  if (is_how("torn")) ::kill(::getpid(), SIGKILL);
  half_done = true;
  return done;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>(va_arg(rest, int));
  va_end(rest);
  return open_for("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>(va_arg(rest, int));
  va_end(rest);
  return open_for("open64", path, flags, mode);
}

int mkostemps(char* pattern, int suffix, int flags) {
  if (is_below(pattern) && fails("open")) return -1;
  return real<int (*)(char*, int, int)>("mkostemps")(pattern, suffix, flags);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  return write_some(fd, size, [&](size_t part) { return next(fd, bytes, part); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return write_some(fd, size, [&](size_t part) { return next(fd, bytes, part, offset); });
}

int fsync(int fd) {
  if (is_below(fd) && fails("sync")) return -1;
  return real<int (*)(int)>("fsync")(fd);
}

int fdatasync(int fd) {
  if (is_below(fd) && fails("sync")) return -1;
  return real<int (*)(int)>("fdatasync")(fd);
}

int ftruncate(int fd, off_t size) noexcept {
  if (is_below(fd) && fails("truncate")) return -1;
  return real<int (*)(int, off_t)>("ftruncate")(fd, size);
}

int ftruncate64(int fd, off64_t size) noexcept {
  if (is_below(fd) && fails("truncate")) return -1;
  return real<int (*)(int, off64_t)>("ftruncate64")(fd, size);
}

int rename(const char* from, const char* to) noexcept {
  if (is_below(to) && fails("rename")) return -1;
  return real<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_at, const char* from, int to_at, const char* to, unsigned flags) noexcept {
  if (is_below(to) && fails("rename")) return -1;
  return real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(from_at, from, to_at, to,
                                                                                  flags);
}

int link(const char* from, const char* to) noexcept {
  if (is_below(to) && fails("rename")) return -1;
  return real<int (*)(const char*, const char*)>("link")(from, to);
}

}  // extern "C"
