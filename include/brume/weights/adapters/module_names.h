#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_key.h"

namespace brume {

/// Where in a network a module of an adapter acts: on a layer, or on one of `parts` layers that original
/// checkpoints keep as one, whose outputs are the part-th of as many equal shares.
struct ModulePlace {
  std::string layer;  // dotted, as in the model; its tensors are layer + ".weight" and ".bias"
  int64_t part = 0;
  int64_t parts = 1;
  std::optional<int64_t> inputs = {};  // it acts on the first so many alone; nothing: on all
};

/// The names that adapters have for the layers of one network: those of diffusers and transformers, and those
/// of original checkpoints, each with underscores for dots.
class ModuleNames {
 public:
  /// `tensors`: the names of the network's weights.
  ModuleNames(AdapterTower tower, const std::vector<std::string>& tensors);

  /// Empty for a module that the network does not have. `module` as in AdapterKey.
  const std::vector<ModulePlace>& find(const std::string& module) const;

  /// The place of a layer among a UNet's blocks as A1111 counts them: 0 for what is in none of them, then the
  /// input blocks, the middle and the output blocks.
  size_t block_of(const std::string& layer) const;
  size_t input_blocks() const { return input_blocks_; }
  size_t output_blocks() const { return output_blocks_; }

 private:
  void add_unet(const std::vector<std::string>& layers);
  void add_text(const std::string& layer, const std::string& module);

  std::map<std::string, std::vector<ModulePlace>> places_;
  std::map<std::string, size_t> blocks_;  // of a UNet's layers
  size_t input_blocks_ = 0;
  size_t output_blocks_ = 0;
};

}  // namespace brume
