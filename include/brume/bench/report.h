#pragma once
#include <nlohmann/json_fwd.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/bench/baseline.h"
#include "brume/bench/picture_error.h"
#include "brume/bench/result.h"

namespace brume::bench {

/// The JSON's "format"; its schema is docs/bench.schema.json.
inline constexpr const char* kReportFormat = "brume.bench/4";
/// Those before it, as good as baselines: the first have no options, and are only of runs that use none.
inline constexpr std::array<std::string_view, 1> kReportFormatsBefore = {"brume.bench/3"};
inline constexpr std::array<std::string_view, 2> kReportFormatsWithoutOptions = {"brume.bench/2",
                                                                                 "brume.bench/1"};

/// How far from the fp32 reference a picture may be.
struct ErrorLimits {
  std::optional<int64_t> max_abs;  // of any value, 0 to 255
  std::optional<double> min_psnr;  // decibels

  bool any() const { return max_abs || min_psnr; }
  /// A line for each limit that is not kept.
  std::vector<std::string> failures(const PictureError& error) const;
};

enum class Verdict { kPassed, kFailed, kUndecided };

/// "passed", "failed", "undecided"
std::string verdict_name(Verdict verdict);

/// A result with what it was held against: one verdict of speed and pictures.
struct Report {
  Result result;
  std::optional<Comparison> comparison;
  std::optional<PictureError> error;
  ErrorLimits limits;

  /// Why the run does not pass, a line each; empty where it does.
  std::vector<std::string> failures() const;
  /// Why it may not pass, where nothing says that it does not.
  std::vector<std::string> doubts() const;
  std::vector<std::string> remarks() const;
  Verdict verdict() const;
};

nlohmann::json to_json(const Report& report);
/// For people: a few lines of text.
std::string to_table(const Report& report);
/// A page with plots that needs nothing but itself: no script, no other file.
std::string to_html(const Report& report);

}  // namespace brume::bench
