// Lets a program have only so many threads beside its first, or start only so many processes, as limits of
// the system do, which do not hold for root. For LD_PRELOAD.
//
//   BRUME_MOST_THREADS   at a time, beside the first; without it as many as it likes
//   BRUME_MOST_STARTS    of processes, in all; without it as many as it likes
//   BRUME_LIMITED        only programs whose first argument this is; without it all
#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

std::atomic<long> threads = 0;
std::atomic<long> starts = 0;

std::string first_argument() {
  std::string words;
  if (std::FILE* const file = std::fopen("/proc/self/cmdline", "r")) {
    for (int byte = std::fgetc(file); byte != EOF; byte = std::fgetc(file)) words += static_cast<char>(byte);
    std::fclose(file);
  }
  return words.c_str() + words.find('\0') + 1;
}

/// What the variable allows this program; -1: as much as it likes.
long most(const char* variable) {
  const char* const value = std::getenv(variable);
  const char* const limited = std::getenv("BRUME_LIMITED");
  if (value == nullptr || (limited != nullptr && first_argument() != limited)) return -1;
  return std::atol(value);
}

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

struct Work {
  void* (*run)(void*);
  void* with;
};

void* counted(void* given) {
  const Work work = *static_cast<Work*>(given);
  delete static_cast<Work*>(given);
  void* const result = work.run(work.with);
  --threads;
  return result;
}

}  // namespace

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* with) {
  static const long kMost = most("BRUME_MOST_THREADS");
  if (++threads > kMost && kMost >= 0) {
    --threads;
    return EAGAIN;
  }
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  return real<Create>("pthread_create")(thread, attributes, counted, new Work{run, with});
}

int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const words[], char* const environment[]) {
  static const long kMost = most("BRUME_MOST_STARTS");
  if (++starts > kMost && kMost >= 0) return EAGAIN;
  using Spawn = int (*)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                        char* const[], char* const[]);
  return real<Spawn>("posix_spawn")(pid, path, actions, attributes, words, environment);
}

}  // extern "C"
