#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "brume/bench/limits.h"
#include "brume/bench/report.h"
#include "engine_options.h"

namespace brume::cli {

struct BenchOptions {
  EngineOptions engine;
  PictureSettings picture;
  std::optional<std::string> arch;
  int64_t batch_size = 1;
  bench::Limits limits;
  std::optional<std::string> baseline;
  std::optional<double> max_regress;  // a share
  bench::ErrorLimits error_limits;
  std::optional<std::string> html;
  bool json = false;
  bool profile = false;
};

void add_bench_options(CLI::App& command, BenchOptions& options);
/// Throws kUsage for options that do not go together.
void check_options(const BenchOptions& options);

}  // namespace brume::cli
