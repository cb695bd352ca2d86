#include "engine_use.h"

#include <algorithm>
#include <thread>

namespace brume::cli {

namespace {

/// Multiply-adds of a step of one picture as the model draws it where nobody says otherwise: choices do not
/// hang on which picture comes first.
double usual_work(const ModelConfig& model) {
  const Request usual = model.resolve({}, {0});
  return model.step_work(usual.width, usual.height);
}

}  // namespace

int64_t EngineUse::rows(const ModelConfig& model) const {
  if (batch_size > 0) return batch_size;
  if (deterministic) return 1;
  constexpr double kEnoughWork = 4e9;  // multiply-adds of a call
  constexpr double kMostRows = 8;
  return static_cast<int64_t>(std::clamp(kEnoughWork / usual_work(model), 1.0, kMostRows));
}

batch::RunnerSettings EngineUse::settings(const ModelConfig& model, const EngineOptions& engine) const {
  const double rows_at_once = deterministic ? 1 : static_cast<double>(rows(model));
  const int threads = engine.threads_for(usual_work(model) * rows_at_once);
  const bool spare = threads == 1 && std::thread::hardware_concurrency() > 1;
  return {.most_rows = rows(model),
          .calls = deterministic ? RowCalls::kApart : RowCalls::kTogether,
          .phases = spare ? batch::Phases::kBeside : batch::Phases::kInTurn,
          .threads = threads,
          .grace = std::chrono::duration<double>(grace)};
}

}  // namespace brume::cli
