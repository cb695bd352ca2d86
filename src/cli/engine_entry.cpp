#include <type_traits>
#include <variant>

#include "brume/base/tensor_memory.h"
#include "engine_commands.h"
#include "engine_door.h"
#include "events.h"
#include "failure.h"
#include "signals.h"
#include "torch_errors.h"

namespace brume::cli {

namespace {

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
    return with_errors_as(errors_as(command),
                          [&] { return without_torch_errors([&] { return run_command(command); }); });
  };
  return told_as_line([&] {
    use_own_tensor_memory();
    return std::visit(run, work);
  });
}

extern "C" const EngineStamp brume_engine_stamp = {"brume " BRUME_VERSION, sizeof(EngineWork)};

static_assert(std::is_same_v<decltype(brume_engine_work), EngineDoor>);

}  // namespace brume::cli
