#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// Bytes that a prompt may have once its choices are made.
inline constexpr size_t kMostChosenText = size_t{1} << 16;

/// The lines that __name__ chooses among, at least one; or null where there is no source of them, and the
/// words stay as they stand. Throws kInputInvalid for a name that the source lacks.
using Wildcards = std::function<const std::vector<std::string>*(const std::string& name)>;

struct ChosenText {
  std::string text;
  std::vector<std::string> unknown;  // __names__ that have no source
};

/// Whether choose_text could change it.
bool has_choices(std::string_view text);

/// "a {red|2::blue|{old|new}} fox in __place__": one of each list, by its weight (1 where none is said).
/// "{2$$a|b|c}": two of them, each once at most, with ", " between; "{1-2$$ and $$a|b|c}": one or two, with
/// " and "; "{2$$__place__}": two of its lines. There are never more than the list has.
/// Other braces without a | are letters, as is what a backslash stands before; a | within [ ] is not the
/// list's. The same text, seed and wildcards give the same words on every machine; `stream` tells apart texts
/// of one picture. Throws kInputInvalid for lists or wildcards nested too deep, and for too long a result.
ChosenText choose_text(std::string_view text, uint64_t seed, uint64_t stream, const Wildcards& wildcards);

}  // namespace brume
