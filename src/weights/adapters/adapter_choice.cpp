#include "brume/weights/adapters/adapter_choice.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

#include "brume/base/shortest_number.h"
#include "brume/base/split.h"

namespace brume {

namespace {

constexpr size_t kMostBlocks = 64;
constexpr std::string_view kRemedy =
    "write NAME:0.8, or text encoders and UNet apart: NAME:0.8:0.5, NAME:te=0.8:unet=0.5; blocks: "
    "NAME:0.8:lbw=1,0,1";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failed == std::errc{} && end == text.data() + text.size();
  if (!whole || !(std::abs(value) <= kMostAdapterStrength)) return std::nullopt;
  return value;
}

bool is_large_number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed != std::errc::invalid_argument && end == text.data() + text.size();
}

bool is_strength_part(std::string_view part) {
  return number(part) || part.starts_with("te=") || part.starts_with("unet=") || part.starts_with("lbw=");
}

}  // namespace

AdapterStrength adapter_strength(std::string_view text, const std::string& where, ExitCode code) {
  AdapterStrength strength;
  const auto refuse = [&](std::string_view part) {
    throw Error(code, where, "\"" + std::string(part) + "\" is no strength", std::string(kRemedy));
  };
  const auto value = [&](std::string_view part, std::string_view digits) {
    const std::optional<double> read = number(digits);
    if (!read) refuse(part);
    return *read;
  };
  size_t numbers = 0;
  for (const std::string_view part : split(text, ':')) {
    if (part.starts_with("te=")) {
      strength.text = value(part, part.substr(3));
    } else if (part.starts_with("unet=")) {
      strength.unet = value(part, part.substr(5));
    } else if (part.starts_with("lbw=")) {
      strength.blocks.clear();
      for (const std::string_view digits : split(part.substr(4), ','))
        strength.blocks.push_back(value(part, digits));
      if (strength.blocks.size() > kMostBlocks) refuse(part);
    } else {
      if (++numbers > 2) refuse(part);
      strength.unet = value(part, part);
      if (numbers == 1) strength.text = strength.unet;
    }
  }
  return strength;
}

std::string strength_text(const AdapterStrength& strength) {
  std::string text = shortest_number(strength.text);
  if (strength.unet != strength.text) text += ":" + shortest_number(strength.unet);
  for (size_t i = 0; i < strength.blocks.size(); ++i)
    text += (i == 0 ? ":lbw=" : ",") + shortest_number(strength.blocks[i]);
  return text;
}

AdapterChoice adapter_choice(const std::string& text) {
  size_t end = text.size();
  for (size_t colon = text.rfind(':'); colon != std::string::npos && colon > 0;
       colon = text.rfind(':', colon - 1)) {
    if (!is_strength_part(std::string_view(text).substr(colon + 1, end - colon - 1))) break;
    end = colon;
  }
  // What looks like a number and is none that a strength can be: no file is named so.
  const size_t last = text.rfind(':', end - 1);
  if (end > 0 && last != std::string::npos && last > 0 && last < end) {
    const std::string_view rest = std::string_view(text).substr(last + 1, end - last - 1);
    if (rest.empty() || rest == "nan" || rest == "inf" || is_large_number(rest))
      adapter_strength(rest, "--lora " + text, ExitCode::kUsage);
  }
  AdapterChoice choice{text.substr(0, end), {}};
  if (end < text.size()) {
    const std::string_view strength = std::string_view(text).substr(end + 1);
    choice.strength = adapter_strength(strength, "--lora " + text, ExitCode::kUsage);
  }
  return choice;
}

std::string choice_text(const AdapterChoice& choice) {
  return choice.file.string() + ":" + strength_text(choice.strength);
}

}  // namespace brume
