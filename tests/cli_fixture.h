#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "temporary_directory.h"

namespace brume::testing {

using Words = std::vector<std::string>;

/// A tensor of a weights file, to be changed and written again; fp32.
struct EditedTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};
using EditedTensors = std::map<std::string, EditedTensor>;

/// Runs the program in an empty directory of its own, with the small random models of tests/reference.
class CommandLine : public TemporaryDirectory {
 protected:
  void TearDown() override;

  /// brume WORDS, in the directory.
  Outcome brume(Words words) const;
  /// brume generate on the sd1 model, 64 x 64, two steps, and `more`, whose options come once only.
  Outcome generate(const Words& more) const { return brume(generate_words(more)); }
  static Words generate_words(const Words& more, const std::filesystem::path& from = model("sd1"));
  static std::filesystem::path model(const std::string& name);

  /// A copy of a model, to be broken.
  std::filesystem::path copy_of(const std::string& name) const;
  static void edit_json(const std::filesystem::path& file, const std::function<void(nlohmann::json&)>& edit);
  static void edit_weights(const std::filesystem::path& file,
                           const std::function<void(EditedTensors&)>& edit);

  std::string bytes_of(const std::string& name) const;
  /// The names in the directory, sorted.
  Words names() const;
  /// Of a picture of the directory.
  std::vector<uint8_t> pixels(const std::string& name) const;
  /// What A1111 reads in it; empty where there is nothing.
  std::string infotext_of(const std::string& name) const;
  /// The recipe that brume inspect finds in a picture of the directory.
  nlohmann::json recipe_of(const std::string& name) const;
};

/// The exit code, and exactly one line that begins with "brume: " and holds all of `parts`.
void expect_error(const Outcome& outcome, int code, const Words& parts);

}  // namespace brume::testing
