#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_key.h"
#include "brume/weights/safetensors.h"

namespace brume {

/// What an adapter file has for one module: its tensors by what they are.
struct AdapterModule {
  AdapterTower tower;
  std::string name;  // as in AdapterKey
  std::map<AdapterRole, StoredTensor> tensors;

  const StoredTensor* find(AdapterRole role) const;
  /// The names of its tensors in the file.
  std::vector<std::string> keys() const;
};

/// The alphas of a file whose metadata holds them.
struct AdapterAlphas {
  std::optional<double> usual;
  std::map<std::string, double> of_modules;  // by the end of their names, with underscores for dots
  bool root_of_rank = false;                 // rsLoRA: alpha is divided by the root of the rank
};

/// A .safetensors file of LoRA or one of its kin, open, its tensors sorted by module; none of them is read.
class AdapterFile {
 public:
  /// Throws kModelInvalid for a file that cannot be read, or has two tensors for one place of a module.
  explicit AdapterFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<AdapterModule>& modules() const { return modules_; }
  /// Tensors that are none of an adapter's.
  const std::vector<std::string>& strangers() const { return strangers_; }
  /// What the product of a module's factors of rank `rank` is multiplied with: alpha by the rank, or 1 where
  /// the file has no alpha. Throws kModelInvalid for an alpha that is not one finite number from 0 on.
  double scale(const AdapterModule& module, uint64_t rank) const;
  /// SHA-256 of its tensors in hexadecimal digits, which A1111 knows it by: that of the metadata where a
  /// training program left it there, as A1111 has it.
  std::string data_hash() const;

 private:
  SafetensorsFile file_;
  std::vector<AdapterModule> modules_;
  std::vector<std::string> strangers_;
  std::map<AdapterTower, AdapterAlphas> alphas_;
};

}  // namespace brume
