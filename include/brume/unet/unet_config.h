#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/config_file.h"
#include "brume/nn/spatial_transformer.h"

namespace brume {

/// One resolution of the UNet, as the down path has it; the up path mirrors it.
struct UNetLevel {
  int64_t channels;
  int64_t layers;                      // residual blocks of the down path; the up path has one more
  int64_t heads;                       // of the transformers
  std::vector<int64_t> down_depths;    // transformer blocks in each transformer of the down path
  std::vector<int64_t> up_depths;      // and of the up path, in its order
  int64_t context_width;               // cross_attention_dim
  nn::FirstAttention first_attention;  // only_cross_attention
  bool down_attention;
  bool up_attention;

  bool operator==(const UNetLevel&) const = default;
};

/// What lies between the two paths: nothing, a residual block (some distilled models), or two with a
/// transformer between them.
enum class UNetMiddle { kNone, kResidual, kTransformer };

/// SDXL's extra condition: picture sizes and the pooled words, added to the time embedding ("text_time").
struct AddedCondition {
  int64_t time_id_width;  // addition_time_embed_dim
  int64_t input_width;    // projection_class_embeddings_input_dim

  bool operator==(const AddedCondition&) const = default;
};

/// The sizes of a UNet2DConditionModel, from its config.json.
struct UNetConfig {
  int64_t in_channels;
  int64_t out_channels;
  std::optional<int64_t> sample_size;  // default side of the latents
  std::vector<UNetLevel> levels;       // finest first
  UNetMiddle middle;
  int64_t mid_depth;  // transformer blocks there
  double mid_scale;   // mid_block_scale_factor

  nn::Projection projection;
  int64_t downsample_padding;
  int64_t norm_groups;
  double norm_eps;
  bool cosine_first;
  double freq_shift;
  std::optional<AddedCondition> added;
  std::optional<int64_t> scale_width;  // time_cond_proj_dim: of the guidance scale that the network is told

  bool operator==(const UNetConfig&) const = default;

  /// About how many multiply-adds the convolutions of one call take for one picture of latents [height,
  /// width].
  double convolution_work(int64_t height, int64_t width) const;

  /// About how many values one call holds at its height for one picture of latents [height, width]: the maps
  /// kept for the way up, and a block at work on the level where that comes to the most.
  double activation_values(int64_t height, int64_t width) const;

  /// Throws kModelInvalid, naming file, key and value, for what brume does not have.
  /// Keys that nothing reads are appended to `ignored`, a line a file.
  static UNetConfig read(const ConfigFile& config, std::vector<std::string>& ignored);
};

}  // namespace brume
