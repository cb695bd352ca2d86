#include "batch_summary.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <utility>

#include "count_text.h"
#include "progress.h"

namespace brume::cli {

namespace {

using batch::Busy;
using nlohmann::json;

double seconds_of(const BatchSummary& summary, const std::atomic<double> Busy::*phase) {
  return summary.busy == nullptr ? 0.0 : (summary.busy->*phase).load();
}

json path_or_null(const std::optional<std::filesystem::path>& path) {
  return path ? json(path->string()) : json();
}

}  // namespace

std::string summary_line(const BatchSummary& summary) {
  const batch::BatchTally& tally = summary.tally;
  std::string line = count_text(tally.drawn, "picture") + " drawn in " + duration_text(summary.seconds);
  if (tally.skipped > 0) line += ", " + std::to_string(tally.skipped) + " there already";
  if (tally.failed > 0) line += ", " + std::to_string(tally.failed) + " failed";
  if (tally.bad_lines > 0) line += ", " + count_text(tally.bad_lines, "bad line");
  if (const auto lost = static_cast<int64_t>(summary.lost_workers.size()); lost > 0)
    line += ", " + count_text(lost, "worker") + " given up";
  if (summary.failures)
    line += (tally.failed > 0 ? "; what failed is in " : "; what failed before is in ") +
            summary.failures->string();
  if (summary.stopped_by != 0) line = "stopped by signal " + std::to_string(summary.stopped_by) + "; " + line;
  return line;
}

std::string phases_line(const BatchSummary& summary) {
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(),
                "loaded in %.2f s, text %.2f s, denoising %.2f s, decoding %.2f s, writing %.2f s",
                summary.load_seconds, seconds_of(summary, &Busy::text), seconds_of(summary, &Busy::denoise),
                seconds_of(summary, &Busy::decode), seconds_of(summary, &Busy::write));
  return text.data();
}

json lost_worker_json(const batch::LostWorker& worker) {
  return {{"worker", worker.name.number}, {"device", worker.name.device}, {"reason", worker.why}};
}

json summary_json(const BatchSummary& summary) {
  const auto milliseconds = [&](const std::atomic<double> Busy::*phase) {
    return 1e3 * seconds_of(summary, phase);
  };
  json lost_workers = json::array();
  for (const batch::LostWorker& worker : summary.lost_workers)
    lost_workers.push_back(lost_worker_json(worker));
  return {{"drawn", summary.tally.drawn},
          {"skipped", summary.tally.skipped},
          {"failed", summary.tally.failed},
          {"bad_lines", summary.tally.bad_lines},
          {"stopped_by", summary.stopped_by == 0 ? json() : json(summary.stopped_by)},
          {"given_up", std::move(lost_workers)},
          {"directory", summary.directory.string()},
          {"failed_jobs", path_or_null(summary.failures)},
          {"grid", path_or_null(summary.grid)},
          {"steps", summary.steps},
          {"batch_size", summary.batch_size},
          {"seconds", summary.seconds},
          {"load_ms", summary.load_seconds * 1e3},
          {"text_encode_ms", milliseconds(&Busy::text)},
          {"denoise_ms", milliseconds(&Busy::denoise)},
          {"vae_decode_ms", milliseconds(&Busy::decode)},
          {"write_ms", milliseconds(&Busy::write)},
          {"peak_memory_bytes", summary.peak_memory}};
}

}  // namespace brume::cli
