#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/error.h"

namespace brume {

/// The largest factor that an adapter may be given, either way.
inline constexpr double kMostAdapterStrength = 1000;

/// How strongly an adapter is merged.
struct AdapterStrength {
  double text = 1;
  double unet = 1;
  std::vector<double> blocks = {};  // factors of the UNet's blocks in A1111's order; empty: 1 each

  bool operator==(const AdapterStrength&) const = default;
};

/// An adapter file (LoRA and its kin), and how strongly it is merged.
struct AdapterChoice {
  std::filesystem::path file;
  AdapterStrength strength;

  /// The file's name without its ending.
  std::string name() const { return file.stem().string(); }
};

/// Reads "0.8", "0.8:0.5" (text encoders, then UNet), "te=0.8", "unet=0.5", "lbw=1,0,0.5", or these joined by
/// colons. Throws `code` with `where` for anything else.
AdapterStrength adapter_strength(std::string_view text, const std::string& where, ExitCode code);
/// The shortest text that reads back the same.
std::string strength_text(const AdapterStrength& strength);

/// Reads "FILE" or "FILE:STRENGTH", where what cannot be a strength is of the file's name. Throws kUsage.
AdapterChoice adapter_choice(const std::string& text);
/// Reads back as the same choice.
std::string choice_text(const AdapterChoice& choice);

}  // namespace brume
