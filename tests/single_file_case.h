#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "brume/weights/safetensors.h"

namespace brume::testing {

/// How values are stored: as what, and their bytes.
struct Encoding {
  StoredType type = StoredType::kF32;
  std::function<std::vector<std::byte>(const std::vector<float>&)> bytes;
};
Encoding as_fp32();

/// A checkpoint of one file of tests/reference/single_files: names and shapes as diffusers' loaders read
/// them, values by a rule that tools/reference/single_file_cases.py has too.
class SingleFileCase {
 public:
  explicit SingleFileCase(const std::string& family);

  const nlohmann::json& parameters() const { return parameters_; }
  /// Of a model whose UNet reads so many channels.
  void set_input_channels(int64_t channels);
  /// The header alone, leftovers included; its tensors may be edited.
  SafetensorsHeader header() const;
  /// Writes the file. `markers` are more tensors of one number each.
  void write(const std::filesystem::path& path, const Encoding& encoding = as_fp32(),
             const std::map<std::string, std::string>& metadata = {},
             const std::vector<std::string>& markers = {}) const;

 private:
  nlohmann::json parameters_;
};

/// The names and shapes of a full-size file: tests/reference/single_files/layouts/`name`.txt.
SafetensorsHeader full_size_header(const std::string& name);

}  // namespace brume::testing
