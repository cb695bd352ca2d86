#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "brume/bench/report.h"

namespace brume::bench {

namespace {

using nlohmann::json;

constexpr double kMilliseconds = 1e3;
constexpr double kGiga = 1e9;

/// Seven digits: more are noise, and make a file hard to read.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", value);
  return std::strtod(text, nullptr);
}

template <class Value>
json or_null(const std::optional<Value>& value, double scale = 1) {
  return value ? json(rounded(static_cast<double>(*value) * scale)) : json();
}

json milliseconds(const std::vector<double>& seconds) {
  json list = json::array();
  for (const double one : seconds) list.push_back(rounded(one * kMilliseconds));
  return list;
}

json summary_json(const Summary& summary) {
  json object = {{"count", summary.count},
                 {"median_ms", rounded(summary.median * kMilliseconds)},
                 {"interval_ms", json()},
                 {"spread_percent", or_null(summary.spread(), 100)},
                 {"least_ms", rounded(summary.least * kMilliseconds)},
                 {"most_ms", rounded(summary.most * kMilliseconds)}};
  if (summary.interval)
    object["interval_ms"] = {rounded(summary.interval->low * kMilliseconds),
                             rounded(summary.interval->high * kMilliseconds)};
  return object;
}

json component_json(const Component& component, double peak) {
  json object = summary_json(component.summary());
  const std::optional<double> rate = component.rate();
  object["gflop"] = or_null(component.flop, 1 / kGiga);
  object["gflop_per_second"] = or_null(rate, 1 / kGiga);
  object["percent_of_peak"] = rate && peak > 0 ? json(rounded(100 * *rate / peak)) : json();
  return object;
}

json conditions_json(const Result& result) {
  const Conditions& conditions = result.conditions;
  return {{"peak_gflop_per_second", rounded(conditions.peak() / kGiga)},
          {"peak_change_percent", rounded(100 * conditions.peak_change())},
          {"drift_percent", or_null(drift(result.step.seconds), 100)},
          {"waited_percent", or_null(conditions.waited_share, 100)},
          {"throttle_events", conditions.throttle_events ? json(*conditions.throttle_events) : json()}};
}

json profile_json(const std::vector<Operation>& operations) {
  double whole = 0;
  for (const Operation& operation : operations) whole += operation.seconds;
  json list = json::array();
  for (const Operation& operation : operations) {
    const bool counted = operation.flop > 0;
    list.push_back(
        {{"operation", operation.name},
         {"calls", operation.calls},
         {"ms", rounded(operation.seconds * kMilliseconds)},
         {"percent", rounded(100 * operation.seconds / whole)},
         {"gflop", counted ? json(rounded(operation.flop / kGiga)) : json()},
         {"gflop_per_second", counted ? json(rounded(operation.flop / operation.seconds / kGiga)) : json()}});
  }
  return list;
}

json interval_json(const Change& change) {
  if (!change.interval) return {};
  return {rounded(100 * change.interval->low), rounded(100 * change.interval->high)};
}

json comparison_json(const Comparison& comparison) {
  return {{"baseline", comparison.baseline.file},
          {"max_regress_percent", rounded(100 * comparison.max_regress)},
          {"steps_per_second", comparison.baseline.steps_per_second},
          {"pictures_per_second", comparison.baseline.pictures_per_second},
          {"steps_change_percent", rounded(100 * comparison.steps.share)},
          {"pictures_change_percent", rounded(100 * comparison.pictures.share)},
          {"steps_change_interval_percent", interval_json(comparison.steps)},
          {"pictures_change_interval_percent", interval_json(comparison.pictures)}};
}

json error_json(const PictureError& error, const ErrorLimits& limits) {
  return {{"reference", "fp32"},
          {"pictures", error.pictures()},
          {"max_abs", error.max_abs()},
          {"psnr_db", or_null(error.psnr())},
          {"allowed_max_abs", limits.max_abs ? json(*limits.max_abs) : json()},
          {"wanted_psnr_db", or_null(limits.min_psnr)}};
}

}  // namespace

json to_json(const Report& report) {
  const Result& result = report.result;
  const Workload& work = result.workload;
  const double peak = result.conditions.peak();
  json object = {{"format", kReportFormat},
                 {"version", result.machine.version},
                 {"arch", work.arch},
                 {"weights", work.weights},
                 {"width", work.width},
                 {"height", work.height},
                 {"batch_size", work.batch_size},
                 {"steps", work.steps},
                 {"sampler", work.sampler},
                 {"cfg_scale", work.cfg_scale},
                 {"dtype", work.dtype},
                 {"device", work.device},
                 {"options", work.options},
                 {"device_name", result.machine.device_name},
                 {"threads", result.machine.threads},
                 {"instruction_set", result.machine.instruction_set}};
  object["steps_per_second"] = rounded(result.steps_per_second());
  object["pictures_per_second"] = rounded(result.pictures_per_second());
  object["text_encode_ms"] = rounded(result.text.summary().median * kMilliseconds);
  object["unet_step_ms"] = rounded(result.step.summary().median * kMilliseconds);
  object["vae_decode_ms"] = rounded(result.decode.summary().median * kMilliseconds);
  object["load_ms"] = rounded(result.load_seconds * kMilliseconds);
  object["peak_memory_bytes"] = result.peak_memory_bytes;
  object["components"] = {{"text_encode", component_json(result.text, peak)},
                          {"unet_step", component_json(result.step, peak)},
                          {"vae_decode", component_json(result.decode, peak)}};
  object["rounds"] = summary_json(summarize(result.rounds));
  object["samples"] = {{"unet_step_ms", milliseconds(result.step.seconds)},
                       {"round_ms", milliseconds(result.rounds)}};
  object["converged"] = result.converged;
  object["repeatable"] = result.repeatable;
  object["conditions"] = conditions_json(result);
  object["profile"] = result.profile.empty() ? json() : profile_json(result.profile);
  object["comparison"] = report.comparison ? comparison_json(*report.comparison) : json();
  object["error"] = report.error ? error_json(*report.error, report.limits) : json();
  object["remarks"] = report.remarks();
  object["verdict"] = {{"passed", report.verdict() == Verdict::kPassed},
                       {"failures", report.failures()},
                       {"doubts", report.doubts()}};
  return object;
}

}  // namespace brume::bench
