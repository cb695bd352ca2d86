#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <variant>

#include "brume/base/error.h"
#include "brume/base/tensor_memory.h"
#include "engine_commands.h"
#include "engine_door.h"
#include "events.h"
#include "failure.h"
#include "signals.h"

namespace brume::cli {

namespace {

/// libtorch's errors as those that the program knows.
template <class Command>
int without_torch_errors(const Command& command) {
  try {
    return run_command(command);
  } catch (const c10::OutOfMemoryError&) {
    throw std::bad_alloc();  // of a GPU
  } catch (const c10::AcceleratorError& error) {
    const std::string text = error.what_without_backtrace();
    throw Error(ExitCode::kGpuFault, "the GPU", text.substr(0, text.find('\n')),
                "see what nvidia-smi and the system's log say of it, or use --device cpu");
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    // oneDNN says no more of it than that.
    for (const char* said :
         {"allocate memory", "could not create a primitive", "could not execute a primitive"}) {
      if (text.find(said) != std::string::npos) throw std::bad_alloc();
    }
    throw std::runtime_error(text);
  } catch (const std::system_error& error) {
    // No room for a thread's stack.
    if (error.code() == std::errc::resource_unavailable_try_again) throw std::bad_alloc();
    throw;
  }
}

ErrorsAs errors_as(const GenerateWork& /*asked*/) { return ErrorsAs::kLines; }
ErrorsAs errors_as(const BenchOptions& /*options*/) { return ErrorsAs::kLines; }
ErrorsAs errors_as(const ConvertOptions& /*options*/) { return ErrorsAs::kLines; }
ErrorsAs errors_as(const BatchOptions& options) { return options.errors_as(); }
ErrorsAs errors_as(const WorkerOptions& options) { return options.errors_as(); }

}  // namespace

/// The library has its own copy of what it shares with the program. The signals are handled by this copy from
/// here on, so that what a handler looks at (whether a stop was asked for, which file is unfinished) is what
/// the work below sets.
extern "C" int brume_engine_work(const EngineWork& work) noexcept {
  end_at_signals();
  const auto run = [](const auto& command) {
    return with_errors_as(errors_as(command), [&] { return without_torch_errors(command); });
  };
  return told_as_line([&] {
    use_own_tensor_memory();
    return std::visit(run, work);
  });
}

extern "C" const EngineStamp brume_engine_stamp = {"brume " BRUME_VERSION, sizeof(EngineWork)};

static_assert(std::is_same_v<decltype(brume_engine_work), EngineDoor>);

}  // namespace brume::cli
