#include <algorithm>
#include <vector>

#include "original.h"
#include "original_unet_table.h"

namespace brume::dialects {

namespace {

/// Where a numbered block of the original lies among diffusers' levels.
struct Position {
  size_t level;
  size_t layer;

  std::string of(const char* blocks, const char* modules) const {
    return blocks + std::to_string(level) + "." + modules + std::to_string(layer) + ".";
  }
};

/// The original numbers the blocks of a path through; the one that changes the size ends a level.
template <class EndsLevel>
std::vector<Position> positions(const OriginalTensors& tensors, std::string_view path, size_t first,
                                EndsLevel ends_level) {
  size_t count = first;
  for (auto at = tensors.lower_bound(path); at != tensors.end(); ++at) {
    std::string_view rest = at->first;
    if (!take_word(rest, path)) break;
    count = std::max(count, take_index(rest).value_or(0) + 1);
  }
  std::vector<Position> found(first, Position{0, 0});
  Position next{0, 0};
  for (size_t block = first; block < count; ++block) {
    found.push_back(next);
    next = ends_level(std::string(path) + std::to_string(block) + ".") ? Position{next.level + 1, 0}
                                                                       : Position{next.level, next.layer + 1};
  }
  return found;
}

std::optional<std::string> resnet_name(const std::string& place, std::string_view rest) {
  const std::optional<std::string> part = renamed(rest, kUNetResnet);
  return part ? std::optional(place + *part) : std::nullopt;
}

class Names {
 public:
  explicit Names(const OriginalTensors& tensors)
      : down_(positions(tensors, "input_blocks.", 1,
                        [&](const std::string& block) { return tensors.contains(block + "0.op.weight"); })),
        up_(positions(tensors, "output_blocks.", 0, [&](const std::string& block) {
          return tensors.contains(block + "1.conv.weight") || tensors.contains(block + "2.conv.weight");
        })) {}

  std::optional<std::string> of(std::string_view name) const {
    if (std::optional<std::string> outer = renamed(name, kUNetOuter)) return outer;
    if (take_word(name, "input_blocks.")) return down(name);
    if (take_word(name, "middle_block.")) return middle(name);
    if (take_word(name, "output_blocks.")) return up(name);
    return std::nullopt;
  }

 private:
  std::optional<std::string> down(std::string_view name) const {
    const std::optional<size_t> block = take_index(name);
    const std::optional<size_t> module = take_index(name);
    if (!block || !module || *block >= down_.size()) return std::nullopt;
    const Position& place = down_[*block];
    if (*module == 1) return place.of("down_blocks.", "attentions.") + std::string(name);
    if (*module != 0) return std::nullopt;
    if (take_word(name, "op."))
      return "down_blocks." + std::to_string(place.level) + ".downsamplers.0.conv." + std::string(name);
    return resnet_name(place.of("down_blocks.", "resnets."), name);
  }

  static std::optional<std::string> middle(std::string_view name) {
    const std::optional<size_t> module = take_index(name);
    if (!module) return std::nullopt;
    const std::string number = std::to_string(*module / 2) + ".";
    if (*module % 2 == 1) return "mid_block.attentions." + number + std::string(name);
    return resnet_name("mid_block.resnets." + number, name);
  }

  std::optional<std::string> up(std::string_view name) const {
    const std::optional<size_t> block = take_index(name);
    const std::optional<size_t> module = take_index(name);
    if (!block || !module || *block >= up_.size()) return std::nullopt;
    const Position& place = up_[*block];
    if (*module == 0) return resnet_name(place.of("up_blocks.", "resnets."), name);
    if (take_word(name, "conv."))
      return "up_blocks." + std::to_string(place.level) + ".upsamplers.0.conv." + std::string(name);
    if (*module != 1) return std::nullopt;
    return place.of("up_blocks.", "attentions.") + std::string(name);
  }

  std::vector<Position> down_;
  std::vector<Position> up_;
};

}  // namespace

ComponentTensors unet_of(const OriginalTensors& tensors) {
  const Names names(tensors);
  ComponentTensors unet;
  for (const auto& [original, stored] : tensors) {
    if (const std::optional<std::string> name = names.of(original)) unet.emplace(*name, whole(*stored));
  }
  return unet;
}

}  // namespace brume::dialects
