#include "bench_options.h"

#include <functional>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/shortest_number.h"
#include "usage_line.h"
#include "values.h"

namespace brume::cli {

namespace {

constexpr int64_t kMostRounds = 100'000;
constexpr double kMostSeconds = 1e6;

/// An option that reads "3%" or "3" as 0.03, and refuses "0.03", which may be meant as 3% or as 0.03%.
/// Returned, so that more can be said of it.
CLI::Option* add_percent(CLI::App& command, const std::string& name, const std::function<void(double)>& take,
                         const std::string& help) {
  constexpr double kMost = 100;
  const CLI::Validator number = real_number(0, kMost);
  const auto check = [number](std::string& text) {
    const bool is_percent = text.ends_with('%');
    if (is_percent) text.pop_back();
    std::string wrong = number(text);
    const double value = wrong.empty() ? std::stod(text) : 0;
    if (!is_percent && value > 0 && value < 1)
      wrong = '"' + text + "\" may be a share or percent; write " + shortest_number(100 * value) + "% or " +
              text + "%";
    return wrong;
  };
  return command
      .add_option_function<double>(
          name, [take](double percent) { take(percent / 100); }, help)
      ->transform(CLI::Validator(check, ""));
}

void add_limits(CLI::App& command, bench::Limits& limits) {
  command.add_option("--warm-up", limits.warm_up, "Rounds of two steps that are not counted (default 1)")
      ->transform(whole_number(0, 1000));
  command
      .add_option("--max-rounds,--repeats", limits.most_rounds,
                  "At most so many rounds of words, steps and decoding (default 1000)")
      ->transform(whole_number(1, kMostRounds));
  command.add_option("--max-time", limits.most_seconds, "Seconds after which no round begins (default 60)")
      ->transform(real_number(0, kMostSeconds));
  add_percent(
      command, "--interval", [&limits](double share) { limits.spread = share; },
      "Go on until the 95 % intervals of the medians are so narrow (default 2%)");
}

void add_gates(CLI::App& command, BenchOptions& options) {
  command.add_option("--baseline", options.baseline, "Compare with the JSON of an earlier run")
      ->check(not_empty());
  add_percent(
      command, "--max-regress", [&options](double share) { options.max_regress = share; },
      "Exit 1 when steps or pictures a second fell by more than this, 9 when the intervals do not tell "
      "(default "
      "3%)");
  command
      .add_option("--max-error", options.error_limits.max_abs,
                  "Exit 1 when a value (0 to 255) of a picture is further from the fp32 reference's")
      ->transform(whole_number(0, 255));
  command
      .add_option("--min-psnr", options.error_limits.min_psnr,
                  "Exit 1 when pictures are fewer decibels from the fp32 reference's")
      ->transform(real_number(0, 200));
}

}  // namespace

void add_bench_options(CLI::App& command, BenchOptions& options) {
  command
      .add_option("--arch", options.arch,
                  "An architecture with random weights, no checkpoint needed: sd15, sd21, sdxl or tiny")
      ->check(one_of({"sd15", "sd21", "sdxl", "tiny"}));
  command.add_option("--batch-size", options.batch_size, "Pictures in one call of the UNet (default 1)")
      ->transform(whole_number(1, 1024));
  add_limits(command, options.limits);
  add_gates(command, options);
  command.add_flag("--profile", options.profile,
                   "Also show each operation's share of one more round, and its rate");
  command.add_flag("--json", options.json,
                   "One JSON object on standard output instead of a table (docs/bench.schema.json)");
  command.add_option("--html", options.html, "Also write a page with plots to this file")->check(not_empty());
}

void check_options(const BenchOptions& options) {
  for (const auto& [option, given] : {std::pair("--init-img", options.picture.init_img.has_value()),
                                      std::pair("--mask", options.picture.mask.has_value()),
                                      std::pair("--strength", options.picture.strength.has_value())}) {
    if (given) refuse(option, "brume bench draws from words alone", "leave it out");
  }
  if (options.arch && !options.engine.model.empty())
    refuse("--arch", "-m names a model too", "give one of them");
  if (options.arch && !(options.engine.components.empty() && options.engine.prediction.empty()))
    refuse("--arch", "--vae, --unet, --text-encoder and --prediction are of a model with weights",
           "leave them out, or name one with -m");
  if (options.max_regress && !options.baseline)
    refuse("--max-regress", "nothing to compare with", "name the JSON of an earlier run with --baseline");
  if (options.html == "-") refuse("--html -", "standard output has the result", "name a file");
}

}  // namespace brume::cli
