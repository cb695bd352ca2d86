#include "name_table.h"

#include <charconv>
#include <system_error>

namespace brume::dialects {

OriginalTensors below(const SafetensorsHeader& header, std::string_view prefix) {
  OriginalTensors found;
  for (const StoredTensor& tensor : header.tensors) {
    if (tensor.name.starts_with(prefix)) found.emplace(tensor.name.substr(prefix.size()), &tensor);
  }
  return found;
}

std::optional<std::string> renamed(std::string_view name, std::span<const NameRow> rows) {
  for (const NameRow& row : rows) {
    if (take_word(name, row.original)) return std::string(row.ours) + std::string(name);
  }
  return std::nullopt;
}

std::optional<size_t> take_index(std::string_view& name) {
  constexpr size_t kMost = 999;
  size_t index = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, failed] = std::from_chars(name.data(), end, index);
  if (failed != std::errc{} || stop == end || *stop != '.' || index > kMost) return std::nullopt;
  name.remove_prefix(static_cast<size_t>(stop - name.data()) + 1);
  return index;
}

bool take_word(std::string_view& name, std::string_view word) {
  if (!name.starts_with(word)) return false;
  name.remove_prefix(word.size());
  return true;
}

}  // namespace brume::dialects
