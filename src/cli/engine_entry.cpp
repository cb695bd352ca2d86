#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>

#include "brume/base/tensor_memory.h"
#include "engine_commands.h"
#include "engine_door.h"
#include "failure.h"
#include "signals.h"

namespace brume::cli {

namespace {

/// libtorch's errors as those that the program knows.
int without_torch_errors(const EngineWork& work) {
  try {
    return std::visit([](const auto& command) { return run_command(command); }, work);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("allocate memory") != std::string::npos) throw std::bad_alloc();
    throw std::runtime_error(text);
  }
}

}  // namespace

/// The library has its own copy of what it shares with the program. The signals are handled by this copy from
/// here on, so that what a handler looks at (whether a stop was asked for, which file is unfinished) is what
/// the work below sets.
extern "C" int brume_engine_work(const EngineWork& work) noexcept {
  end_at_signals();
  use_own_tensor_memory();
  return told_as_line([&] { return without_torch_errors(work); });
}

static_assert(std::is_same_v<decltype(brume_engine_work), EngineDoor>);

}  // namespace brume::cli
