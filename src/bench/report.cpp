#include "brume/bench/report.h"

#include "number_text.h"

namespace brume::bench {

std::string verdict_name(Verdict verdict) {
  if (verdict == Verdict::kUndecided) return "undecided";
  return verdict == Verdict::kPassed ? "passed" : "failed";
}

std::vector<std::string> ErrorLimits::failures(const PictureError& error) const {
  std::vector<std::string> lines;
  if (max_abs && error.max_abs() > *max_abs)
    lines.push_back("pictures differ from fp32's by up to " + std::to_string(error.max_abs()) +
                    " of 255, more than the " + std::to_string(*max_abs) + " allowed");
  if (const std::optional<double> psnr = error.psnr(); min_psnr && psnr && *psnr < *min_psnr)
    lines.push_back("pictures are " + number_text(*psnr) + " dB from fp32's, less than the " +
                    number_text(*min_psnr) + " dB wanted");
  return lines;
}

std::vector<std::string> Report::failures() const {
  std::vector<std::string> lines;
  const auto add = [&lines](const std::vector<std::string>& more) {
    lines.insert(lines.end(), more.begin(), more.end());
  };
  if (!result.failed_stage.empty()) lines.push_back("numbers overflowed: " + result.failed_stage);
  if (comparison) add(comparison->failures());
  if (error) add(limits.failures(*error));
  return lines;
}

std::vector<std::string> Report::doubts() const {
  return comparison ? comparison->doubts() : std::vector<std::string>();
}

Verdict Report::verdict() const {
  if (!failures().empty()) return Verdict::kFailed;
  return doubts().empty() ? Verdict::kPassed : Verdict::kUndecided;
}

std::vector<std::string> Report::remarks() const {
  std::vector<std::string> lines = bench::remarks(result);
  if (!comparison) return lines;
  const std::vector<std::string> more = comparison->remarks(result);
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

}  // namespace brume::bench
