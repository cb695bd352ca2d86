#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "brume/pipeline/picture_settings.h"

namespace brume::batch {

/// A value of a setting. The order is that of Field::member.
using Setting = std::variant<std::string, int64_t, double, bool>;

/// A setting of a picture as job files know it. The table of these drives every way to write a job.
struct Field {
  template <class T>
  using MemberOf = std::optional<T> PictureSettings::*;

  std::string_view name;  // as in PictureSettings
  std::variant<MemberOf<std::string>, MemberOf<int64_t>, MemberOf<double>, MemberOf<bool>> member;
  int64_t least = 0;  // of a number
  int64_t most = 0;   // of a number; the bytes of a text
  char letter = 0;    // kohya's, or 0
  std::array<std::string_view, 4> aliases = {};
  bool lists_in_text = false;    // an option may say 1,2,3
  bool numbers_are_one = false;  // a list of numbers is one text, with commas
};

std::span<const Field> fields();

inline constexpr std::string_view kId = "id";

/// Whether the folded name is one of those that ask for several pictures: A1111's batch_size and n_iter, or
/// the command line's.
bool asks_for_copies(std::string_view name);

/// How names are compared: lower case, underscores for dashes.
std::string folded(std::string_view name);

/// The field that has this folded name, alias or letter. Otherwise an Error of `shown`, the name as it was
/// typed: why brume cannot do it, or what is known.
const Field& field_named(std::string_view name, const std::string& shown);

}  // namespace brume::batch
