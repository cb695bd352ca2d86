#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "adapter_options.h"
#include "brume/base/dtype.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/threads.h"
#include "brume/pipeline/model_packing.h"
#include "brume/weights/adapters/adapter_choice.h"
#include "brume/weights/adapters/adapters.h"
#include "commands.h"
#include "engine_choices.h"
#include "engine_commands.h"
#include "progress.h"
#include "say.h"
#include "standard_output.h"
#include "status_line.h"

namespace brume::cli {

namespace {

using Clock = std::chrono::steady_clock;

std::string gigabytes(uint64_t bytes) {
  constexpr double kGigabyte = 1e9;
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / kGigabyte << " GB";
  return text.str();
}

void print_notes(const ModelConfig& model, const PackSettings& settings) {
  for (const std::string& remark : model.remarks()) say("note: " + remark);
  if (model.adapters() == nullptr) return;
  for (const std::string& remark : model.adapters()->remarks()) say("note: " + remark);
  const std::string rounded =
      settings.dtype ? std::string(dtype_name(*settings.dtype)) : "what the model's weights are stored as";
  if (settings.dtype != at::kFloat)
    say("note: merged weights are rounded to " + rounded +
        "; with --dtype fp32 they are exactly those of --lora when drawing");
}

void print_not_finite(const PackedModelFile& made) {
  constexpr size_t kMostNamed = 3;
  if (made.not_finite.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(kMostNamed, made.not_finite.size()); ++i)
    names += (i == 0 ? "" : ", ") + escape_control(made.not_finite[i]);
  const size_t count = made.not_finite.size();
  say("note: " + std::to_string(count) + (count == 1 ? " tensor holds" : " tensors hold") +
      " values that are not finite, and no picture will be: " + names + (count > kMostNamed ? ", ..." : ""));
}

void print_result(const ConvertOptions& options, const PackedModelFile& made, double seconds) {
  nlohmann::json adapters = nlohmann::json::array();
  for (const PackedAdapter& one : made.origin.adapters) adapters.push_back(one.name + ":" + one.strength);
  print_json({{"path", options.output.string()},
              {"model", made.origin.model},
              {"family", made.origin.family},
              {"dtype", made.origin.dtype.empty() ? "keep" : made.origin.dtype},
              {"vae_dtype", made.origin.vae_dtype.empty() ? "keep" : made.origin.vae_dtype},
              {"adapters", std::move(adapters)},
              {"tensors", made.tensors},
              {"bytes", made.bytes},
              {"seconds", seconds}});
}

/// A file is not replaced by what was made of it, even where it may be: what is left out would be lost.
void refuse_own_source(const ConvertOptions& options) {
  std::error_code failed;
  if (std::filesystem::equivalent(options.engine.model_path(), options.output, failed) && !failed)
    throw Error(ExitCode::kUsage, options.output.string(), "is the model that would be converted",
                "name another file");
}

}  // namespace

int run_command(const ConvertOptions& options) {
  const Clock::time_point start = Clock::now();
  refuse_own_source(options);
  check_threads(at::get_num_threads() - 1);  // as in open_compute
  ModelConfig model = open_model(options.engine);
  std::vector<AdapterChoice> adapters;
  adapters.reserve(options.engine.adapters.loras.size());
  for (const std::string& lora : options.engine.adapters.loras) adapters.push_back(adapter_choice(lora));
  adapt(model, adapters, options.engine.adapters);
  StatusLine line;
  PackSettings settings{.dtype = options.engine.dtype == "keep"
                                     ? std::nullopt
                                     : std::optional(dtype_from_name(options.engine.dtype)),
                        .existing = options.force ? Existing::kReplace : Existing::kKeep,
                        .program = version_name(),
                        .prediction = prediction_from_name(options.engine.prediction),
                        .progress = [&line](uint64_t done, uint64_t total) {
                          if (line.due() || done == total)
                            line.draw(bar_text(static_cast<int64_t>(done), static_cast<int64_t>(total)) +
                                      " " + gigabytes(done) + " of " + gigabytes(total));
                        }};
  print_notes(model, settings);
  const PackedModelFile made = pack_model(model, options.output, settings);
  line.clear();
  print_not_finite(made);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (options.json) {
    print_result(options, made, seconds);
  } else {
    print_path(options.output);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace brume::cli
