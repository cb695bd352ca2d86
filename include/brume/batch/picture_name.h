#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/batch/job_key.h"
#include "brume/image/recipe.h"

namespace brume::batch {

/// A picture of a batch, for its name and its record.
struct PictureLabel {
  JobKey key;
  int64_t index = 0;  // of the picture among all
  int64_t line = 0;   // of the jobs file
  std::string id;     // the user's own name for it, or empty
  Recipe recipe;
};

inline constexpr const char* kDefaultNames = "{index:05d}_{seed}";

/// How the pictures of a batch are called: "{index:05d}_{seed}_{prompt:40}". The fields are index, line, id,
/// seed, prompt, width, height, steps, cfg_scale, sampler and key; "05d" is a number with at least five
/// digits, ".1f" cfg_scale with one decimal, "40" a text of at most 40 characters; {{ and }} are braces. A
/// ".png" at its end may be left out.
class PictureNames {
 public:
  PictureNames() : PictureNames(kDefaultNames) {}
  /// Throws kUsage for a template that cannot be a file's name, an unknown field, and a form that the field
  /// does not have.
  explicit PictureNames(const std::string& text);

  /// The file's name, ".png" included: at most 200 bytes, without a slash, and with no dot or dash in front.
  /// What the fields give is reduced to letters and numbers of any script, . _ and -. With `key_digits` the
  /// first digits of its key stand at the end: for a name that is taken.
  std::string name_of(const PictureLabel& label, size_t key_digits = 0) const;

 private:
  struct Part {
    std::string literal;  // or
    std::string field;
    int digits = 0;          // of a number, at least
    int decimals = -1;       // of cfg_scale; -1: as many as it needs
    size_t most = SIZE_MAX;  // characters of a text
  };
  static Part field_part(const std::string& inside);
  static std::string text_of(const Part& part, const PictureLabel& label);

  std::vector<Part> parts_;
};

}  // namespace brume::batch
