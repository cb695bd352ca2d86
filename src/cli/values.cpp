#include "values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace brume::cli {

namespace {

std::string shortened(const std::string& text) {
  constexpr size_t kMostShown = 60;
  return text.substr(0, kMostShown) + (text.size() > kMostShown ? "..." : "");
}

/// The whole of `text` as a number within the range, or an explanation for CLI11.
template <class Number>
std::string check_number(const std::string& text, Number least, Number most, const char* kind) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, value);
  if (failed == std::errc{} && stop == end && value >= least && value <= most) return {};
  std::ostringstream message;
  message << '"' << shortened(text) << "\" is not a " << kind << " from " << least << " to " << most;
  return message.str();
}

}  // namespace

CLI::Validator whole_number(int64_t least, int64_t most) {
  const auto check = [least, most](std::string& text) {
    std::string problem = check_number(text, least, most, "whole number");
    const bool negative = text.starts_with('-');
    const size_t digit = text.find_first_not_of('0', negative ? 1 : 0);
    // CLI11 would read a leading zero as octal.
    if (problem.empty()) text = digit == std::string::npos ? "0" : (negative ? "-" : "") + text.substr(digit);
    return problem;
  };
  return CLI::Validator(check, "");
}

CLI::Validator real_number(double least, double most) {
  const auto check = [least, most](std::string& text) { return check_number(text, least, most, "number"); };
  return CLI::Validator(check, "");
}

CLI::Validator one_of(const std::vector<std::string>& values) {
  const auto check = [values](std::string& text) {
    if (std::find(values.begin(), values.end(), text) != values.end()) return std::string();
    std::string known;
    for (const std::string& value : values) known += (known.empty() ? "" : ", ") + value;
    return '"' + shortened(text) + "\" is unknown; use " + known;
  };
  return CLI::Validator(check, "");
}

CLI::Validator dtype_value(const std::string& other) {
  const auto check = [other](std::string& text) {
    // torch's names, and those of stable-diffusion.cpp's --type.
    constexpr std::array<std::pair<std::string_view, const char*>, 6> kOthers = {{{"float32", "fp32"},
                                                                                  {"f32", "fp32"},
                                                                                  {"bfloat16", "bf16"},
                                                                                  {"float16", "fp16"},
                                                                                  {"f16", "fp16"},
                                                                                  {"half", "fp16"}}};
    const auto* known =
        std::find_if(kOthers.begin(), kOthers.end(), [&](const auto& one) { return one.first == text; });
    if (known != kOthers.end()) text = known->second;
    return one_of({other, "fp32", "bf16", "fp16"})(text);
  };
  return CLI::Validator(check, "");
}

CLI::Validator device_name() {
  const auto check = [](std::string& text) {
    constexpr std::string_view kNumbered = "cuda:";
    if (text.starts_with(kNumbered)) {
      std::string number = text.substr(kNumbered.size());
      constexpr int64_t kMostDevices = 127;  // that libtorch counts
      if (whole_number(0, kMostDevices)(number).empty()) return std::string();
    }
    if (text == "auto" || text == "cpu" || text == "cuda") return std::string();
    return '"' + shortened(text) + "\" is unknown; use auto, cpu, cuda, or cuda:N with a number from 0";
  };
  return CLI::Validator(check, "");
}

CLI::Validator not_empty() {
  const auto check = [](std::string& text) {
    return text.empty() ? std::string("is empty; give it a value or leave it out") : std::string();
  };
  return CLI::Validator(check, "");
}

}  // namespace brume::cli
