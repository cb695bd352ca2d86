#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// A file that a packed model was made from.
struct PackedSource {
  std::string file;  // by a name that does not say where it lay
  std::string sha256;
};

/// An adapter that was merged into it.
struct PackedAdapter {
  std::string name;
  std::string strength;
  std::string sha256;
};

/// Where a packed model comes from.
struct PackedOrigin {
  std::string program;     // "brume 0.1.0"
  std::string model;       // what was packed
  std::string family;      // for people: "Stable Diffusion XL"
  std::string dtype;       // "fp16", or empty: every tensor is as it was
  std::string vae_dtype;   // the same of the autoencoder, which may have stayed
  std::string prediction;  // that was said to it, or empty
  std::vector<PackedSource> sources;
  std::vector<PackedAdapter> adapters;
};

/// As JSON. The same origin gives the same text.
std::string packed_origin_text(const PackedOrigin& origin);
/// Reads it again. Throws kModelInvalid with `where`, also for one of a later version.
PackedOrigin read_packed_origin(std::string_view text, const std::string& where);
/// For people: what the model is, and a line for each source and adapter.
std::vector<std::string> packed_origin_lines(const PackedOrigin& origin);

}  // namespace brume
