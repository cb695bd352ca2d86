#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "brume/weights/component_tensors.h"

namespace brume::dialects {

/// The tensors of a file whose names begin with one prefix, by the rest of their names.
using OriginalTensors = std::map<std::string, const StoredTensor*, std::less<>>;

OriginalTensors below(const SafetensorsHeader& header, std::string_view prefix);

/// One line of a table: what a name begins with in a checkpoint, and in diffusers.
struct NameRow {
  std::string_view original;
  std::string_view ours;
};

/// `name` with its beginning replaced by the first row that fits, or nothing.
std::optional<std::string> renamed(std::string_view name, std::span<const NameRow> rows);

/// Takes "12." from the front of `name`; nothing, and `name` as it was, where there is no such number below
/// 1000.
std::optional<size_t> take_index(std::string_view& name);
/// Takes `word` from the front of `name` where it is there.
bool take_word(std::string_view& name, std::string_view word);

}  // namespace brume::dialects
