#include "engine_door.h"

#include <dlfcn.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>

#include "brume/base/error.h"
#include "commands.h"
#include "shipped.h"

namespace brume::cli {

namespace {

/// libtorch, oneDNN and the OpenMP runtime do not survive it everywhere when they can map nothing more: where
/// little more than themselves has room, they crash. (Loading them takes 0.5 GiB, a small picture 0.2 more.)
void check_address_space() {
  constexpr rlim_t kLeast = rlim_t{922} << 20;  // 0.9 GiB
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY || space.rlim_cur >= kLeast)
    return;
  throw Error(ExitCode::kOutOfMemory, "ulimit -v " + std::to_string(space.rlim_cur >> 10),
              "is too little address space to draw in, out of memory",
              "allow at least " + std::to_string(kLeast >> 10));
}

/// The OpenMP runtime lets a thread that waits for the others try again for some milliseconds before it
/// sleeps. Where the cores are not ours alone, that takes the time of those that it waits for: beside a build
/// on the same two cores a picture took 3.0 s, and 1.9 s so, and where they are ours it is as fast. Read when
/// it is loaded.
void sleep_soon_in_openmp() {
  constexpr const char* kTries = "10000";  // about a tenth of a millisecond
  constexpr int kLeaveOthers = 0;
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", kTries, kLeaveOthers);
}

/// Bound lazily: most of what libtorch holds is never called.
void* open_library(const std::string& file) {
  void* const library = ::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library != nullptr) return library;
  throw Error(ExitCode::kModelInvalid, file, "cannot be loaded: " + std::string(::dlerror()),
              "install all of brume, and libtorch where it was when brume was built");
}

}  // namespace

int work_in_engine(const EngineWork& work) {
  check_address_space();
  sleep_soon_in_openmp();
  const std::string file = engine_library().string();
  void* const library = open_library(file);
  const auto* stamp = static_cast<const EngineStamp*>(::dlsym(library, kEngineStamp));
  void* const door = ::dlsym(library, kEngineDoor);
  const bool ours = stamp != nullptr && door != nullptr && version_name() == stamp->version &&
                    stamp->work_bytes == sizeof(EngineWork);
  if (!ours) throw Error(ExitCode::kModelInvalid, file, "is of another brume", "install all of brume again");
  return reinterpret_cast<EngineDoor*>(door)(work);
}

}  // namespace brume::cli
