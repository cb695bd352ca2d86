#include "brume/weights/dialects/original_unet_names.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <system_error>

#include "original_unet_table.h"

namespace brume {

namespace {

using Words = std::vector<std::string_view>;

/// The original's name of a layer that a table has, as the rows write them: with a dot behind.
std::optional<std::string> named(std::span<const dialects::NameRow> table, const std::string& name) {
  for (const dialects::NameRow& row : table) {
    if (row.ours == name + ".") return std::string(row.original.substr(0, row.original.size() - 1));
  }
  return std::nullopt;
}

Words split(std::string_view name) {
  Words words;
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    words.push_back(name.substr(0, dot));
    name.remove_prefix(dot + 1);
  }
  words.push_back(name);
  return words;
}

std::string joined(const Words& words, size_t first) {
  std::string text;
  for (size_t i = first; i < words.size(); ++i) text += (i == first ? "" : ".") + std::string(words[i]);
  return text;
}

/// A small one: names come from files.
std::optional<size_t> index(std::string_view digits) {
  constexpr size_t kMost = 999;
  size_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed != std::errc{} || end != digits.data() + digits.size() || value > kMost) return std::nullopt;
  return value;
}

/// What follows the block's own number, for a layer at words[first] and after.
std::optional<std::string> within(std::string_view kind, const Words& words, size_t first) {
  if (kind == "attentions") return joined(words, first);
  return named(dialects::kUNetResnet, joined(words, first));
}

}  // namespace

size_t OriginalUNetNames::Path::before(size_t level) const {
  size_t count = 0;
  for (const auto& [which, one] : levels) count += which < level ? one.resnets : 0;
  return count;
}

OriginalUNetNames::Level OriginalUNetNames::Path::at(size_t level) const {
  const auto found = levels.find(level);
  return found == levels.end() ? Level{} : found->second;
}

OriginalUNetNames::OriginalUNetNames(const std::vector<std::string>& layers) {
  for (const std::string& layer : layers) {
    const Words words = split(layer);
    if (words.size() < 4) continue;
    const std::optional<size_t> level = index(words[1]);
    const std::optional<size_t> block = index(words[3]);
    if (!level || !block || (words[0] != "down_blocks" && words[0] != "up_blocks")) continue;
    Level& one = (words[0] == "down_blocks" ? down_ : up_).levels[*level];
    if (words[2] == "resnets") one.resnets = std::max(one.resnets, *block + 1);
    if (words[2] == "attentions") one.attention = true;
  }
}

/// One comes before the levels, and one between any two of them.
size_t OriginalUNetNames::input_blocks() const {
  return down_.before(std::numeric_limits<size_t>::max()) + down_.levels.size();
}

size_t OriginalUNetNames::output_blocks() const { return up_.before(std::numeric_limits<size_t>::max()); }

std::optional<std::string> OriginalUNetNames::in_path(const Words& words) const {
  const bool down = words[0] == "down_blocks";
  const std::optional<size_t> level = index(words[1]);
  const std::optional<size_t> block = index(words[3]);
  if (!level || !block) return std::nullopt;
  const size_t first = down ? 1 + down_.before(*level) + *level : up_.before(*level);
  const std::string path = down ? "input_blocks." : "output_blocks.";
  if (words[2] == "resnets" || words[2] == "attentions") {
    const std::optional<std::string> rest = within(words[2], words, 4);
    if (!rest) return std::nullopt;
    return path + std::to_string(first + *block) + (words[2] == "resnets" ? ".0." : ".1.") + *rest;
  }
  if (words.size() != 5 || words[4] != "conv") return std::nullopt;
  if (down && words[2] == "downsamplers")
    return path + std::to_string(first + down_.at(*level).resnets) + ".0.op";
  if (down || words[2] != "upsamplers" || up_.at(*level).resnets == 0) return std::nullopt;
  const Level here = up_.at(*level);
  return path + std::to_string(first + here.resnets - 1) + (here.attention ? ".2.conv" : ".1.conv");
}

std::optional<std::string> OriginalUNetNames::of(std::string_view layer) const {
  const Words words = split(layer);
  if (words[0] == "down_blocks" || words[0] == "up_blocks")
    return words.size() < 5 ? std::nullopt : in_path(words);
  if (words[0] != "mid_block") return named(dialects::kUNetOuter, std::string(layer));
  if (words.size() < 4) return std::nullopt;
  const std::optional<std::string> rest = within(words[1], words, 3);
  if (!rest) return std::nullopt;
  if (words[1] == "attentions") return "middle_block.1." + *rest;
  return std::string(words[2] == "0" ? "middle_block.0." : "middle_block.2.") + *rest;
}

}  // namespace brume
