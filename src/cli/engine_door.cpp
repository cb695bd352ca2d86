#include "engine_door.h"

#include <dlfcn.h>
#include <sys/resource.h>

#include <new>
#include <string>

#include "brume/base/error.h"
#include "commands.h"
#include "shipped.h"

namespace brume::cli {

namespace {

/// By ulimit -v; the loader does not say why it failed to map a library.
bool is_memory_limited() {
  rlimit space{};
  return ::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
}

/// Bound lazily: most of what libtorch holds is never called.
void* open_library(const std::string& file) {
  void* const library = ::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library != nullptr) return library;
  const std::string why = ::dlerror();
  if (is_memory_limited() && why.find("failed to map") != std::string::npos) throw std::bad_alloc();
  throw Error(ExitCode::kModelInvalid, file, "cannot be loaded: " + why,
              "install all of brume, and libtorch where it was when brume was built");
}

}  // namespace

int work_in_engine(const EngineWork& work) {
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
