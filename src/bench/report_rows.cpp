#include "report_rows.h"

#include "number_text.h"

namespace brume::bench {

namespace {

constexpr double kGiga = 1e9;

std::string milliseconds_text(double seconds) { return number_text(seconds * 1e3) + " ms"; }

std::string interval_text(const Summary& summary) {
  if (!summary.interval) return "too few";
  return number_text(summary.interval->low * 1e3) + " to " + number_text(summary.interval->high * 1e3);
}

Row row_of(const std::string& name, const Summary& summary) {
  return {name, milliseconds_text(summary.median), interval_text(summary), std::to_string(summary.count), "",
          ""};
}

Row row_of(const std::string& name, const Component& component, double peak) {
  Row row = row_of(name, component.summary());
  const std::optional<double> rate = component.rate();
  if (!rate) return row;
  row.rate = number_text(*rate / kGiga);
  if (peak > 0) row.share = percent_text(*rate / peak);
  return row;
}

std::string error_text(const PictureError& error) {
  const std::optional<double> psnr = error.psnr();
  if (!psnr) return "none: the pictures are fp32's, byte for byte";
  return "up to " + std::to_string(error.max_abs()) + " of 255, " + number_text(*psnr) + " dB, against fp32";
}

std::string change_text(const Change& change) {
  if (!change.interval) return signed_percent(change.share);
  return signed_percent(change.share) + " (" + signed_percent(change.interval->low) + " to " +
         signed_percent(change.interval->high) + ")";
}

std::string comparison_text(const Comparison& comparison) {
  return "steps/s " + change_text(comparison.steps) + ", pictures/s " + change_text(comparison.pictures) +
         ", against " + comparison.baseline.file + "; " + percent_text(comparison.max_regress) +
         " slower is allowed";
}

}  // namespace

std::string workload_text(const Workload& work) {
  const std::string guidance =
      work.cfg_scale > 1 ? "guidance " + short_text(work.cfg_scale) : std::string("no guidance");
  std::string options;
  for (const auto& [name, value] : work.options) options += ", " + name + " " + value;
  return work.arch + (work.weights == "random" ? " (random weights), " : ", ") + std::to_string(work.width) +
         "x" + std::to_string(work.height) + ", batch " + std::to_string(work.batch_size) + ", " +
         std::to_string(work.steps) + " steps of " + work.sampler + ", " + guidance + ", " + work.dtype +
         options;
}

std::string machine_text(const Result& result) {
  const Machine& machine = result.machine;
  return result.workload.device + ": " + machine.device_name + ", " + std::to_string(machine.threads) +
         (machine.threads == 1 ? " thread, " : " threads, ") + machine.instruction_set + "; " +
         machine.version;
}

std::vector<Row> component_rows(const Result& result) {
  const double peak = result.conditions.peak();
  return {
      row_of("text", result.text, peak), row_of("UNet step", result.step, peak),
      row_of("VAE decode", result.decode, peak),
      row_of(result.workload.batch_size == 1 ? "whole picture" : "whole batch", summarize(result.rounds))};
}

std::vector<Row> profile_rows(const Result& result) {
  double whole = 0;
  for (const Operation& operation : result.profile) whole += operation.seconds;
  std::vector<Row> rows;
  const double peak = result.conditions.peak();
  for (const Operation& operation : result.profile) {
    Row row{operation.name,
            milliseconds_text(operation.seconds),
            percent_text(operation.seconds / whole),
            std::to_string(operation.calls),
            "",
            ""};
    if (operation.flop > 0) {
      row.rate = number_text(operation.flop / operation.seconds / kGiga);
      if (peak > 0) row.share = percent_text(operation.flop / operation.seconds / peak);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Fact> facts(const Report& report) {
  const Result& result = report.result;
  std::vector<Fact> list{
      {"steps/s", number_text(result.steps_per_second())},
      {"pictures/s", number_text(result.pictures_per_second())},
      {"load", milliseconds_text(result.load_seconds)},
      {"peak memory", bytes_text(static_cast<double>(result.peak_memory_bytes))},
      {"device peak", number_text(result.conditions.peak() / kGiga) + " GFLOP/s, a convolution in this run"}};
  if (report.error) list.push_back({"picture error", error_text(*report.error)});
  if (report.comparison) list.push_back({"baseline", comparison_text(*report.comparison)});
  return list;
}

}  // namespace brume::bench
