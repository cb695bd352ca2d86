#include <array>
#include <string>

#include "original.h"

namespace brume::dialects {

namespace {

/// One of the two sequences of layers that taesd.py makes, told by its first convolution and first block.
struct Half {
  std::string name;
  std::string convolution;
  std::string block;
  size_t before;  // layers without weights that diffusers does not count
};

const std::array<Half, 2>& halves() {
  static const std::array<Half, 2> both{
      {{"encoder", "0.weight", "1.conv.0.weight", 0}, {"decoder", "1.weight", "3.conv.0.weight", 1}}};
  return both;
}

void add_half(const OriginalTensors& tensors, const Half& half, const std::string& prefix,
              ComponentTensors& vae) {
  for (const auto& [name, stored] : tensors) {
    std::string_view rest = name;
    if (!take_word(rest, prefix)) continue;
    const std::optional<size_t> layer = take_index(rest);
    if (!layer || *layer < half.before) continue;
    vae.emplace(half.name + ".layers." + std::to_string(*layer - half.before) + "." + std::string(rest),
                whole(*stored));
  }
}

}  // namespace

ComponentTensors tiny_vae_of(const OriginalTensors& tensors) {
  ComponentTensors vae;
  for (const Half& half : halves()) {
    // ComfyUI's names, those of a whole TAESD, and those of a file of one half.
    for (const std::string& prefix : {"taesd_" + half.name + ".", half.name + ".", std::string()}) {
      if (!tensors.contains(prefix + half.convolution) || !tensors.contains(prefix + half.block)) continue;
      add_half(tensors, half, prefix, vae);
      break;
    }
  }
  return vae;
}

}  // namespace brume::dialects
