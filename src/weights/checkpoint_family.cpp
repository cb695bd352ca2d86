#include <algorithm>
#include <string>
#include <string_view>

#include "brume/weights/checkpoint.h"

namespace brume {

namespace {

/// Questions about the names and shapes of a header.
class Header {
 public:
  explicit Header(const SafetensorsHeader& header) : header_(header) {}

  bool any_below(std::string_view prefix) const {
    return std::any_of(header_.tensors.begin(), header_.tensors.end(),
                       [&](const StoredTensor& tensor) { return tensor.name.starts_with(prefix); });
  }
  const StoredTensor* find(std::string_view name) const {
    const auto found = std::find_if(header_.tensors.begin(), header_.tensors.end(),
                                    [&](const StoredTensor& tensor) { return tensor.name == name; });
    return found == header_.tensors.end() ? nullptr : &*found;
  }
  const StoredTensor* find_ending(std::string_view end) const {
    const auto found = std::find_if(header_.tensors.begin(), header_.tensors.end(),
                                    [&](const StoredTensor& tensor) { return tensor.name.ends_with(end); });
    return found == header_.tensors.end() ? nullptr : &*found;
  }

 private:
  const SafetensorsHeader& header_;
};

constexpr uint64_t kFirstClipWidth = 768;  // of Stable Diffusion 1

/// Of a text tower in transformers' naming, which some programs give to that of Stable Diffusion 2 as well.
uint64_t clip_width(const Header& header) {
  for (const char* tower : {"text_model.", ""}) {
    const StoredTensor* words = header.find(std::string("cond_stage_model.transformer.") + tower +
                                            "embeddings.token_embedding.weight");
    if (words != nullptr && words->shape.size() == 2) return words->shape[1];
  }
  return 0;
}

CheckpointKind kind_of(const Header& header) {
  if (header.any_below("conditioner.embedders.1.model.")) return CheckpointKind::kSdXl;
  if (header.any_below("conditioner.embedders.0.model.")) return CheckpointKind::kSdXlRefiner;
  if (header.any_below("cond_stage_model.transformer."))
    return clip_width(header) > kFirstClipWidth ? CheckpointKind::kSd2 : CheckpointKind::kSd1;
  if (header.any_below("cond_stage_model.model.")) return CheckpointKind::kSd2;
  // A file without its text towers: by what the UNet takes, and how its transformers are entered.
  if (header.any_below("model.diffusion_model.label_emb.")) return CheckpointKind::kSdXl;
  const StoredTensor* entry = header.find_ending(".1.proj_in.weight");
  return entry != nullptr && entry->shape.size() == 2 ? CheckpointKind::kSd2 : CheckpointKind::kSd1;
}

std::string title_of(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kSd1:
      return "Stable Diffusion 1";
    case CheckpointKind::kSd2:
      return "Stable Diffusion 2";
    case CheckpointKind::kSdXl:
      return "Stable Diffusion XL";
    case CheckpointKind::kSdXlRefiner:
      return "Stable Diffusion XL refiner";
  }
  return {};
}

/// What the UNet sees beside the latents, by the number of its input channels.
void tell_purpose(uint64_t in, uint64_t out, CheckpointFamily& family) {
  if (in == out) return;
  const std::string seen = std::to_string(in) + " input channels";
  switch (in) {
    case 9:
      family.title += " for inpainting";
      return;
    case 8:
      family.title += " for editing pictures (instruct-pix2pix)";
      return;
    case 7:
      family.title += " for enlarging pictures";
      break;
    case 5:
      family.title += " guided by depth";
      break;
    default:
      family.title += " with " + seen;
      break;
  }
  family.refusal = "its UNet has " + seen + ", and brume has nothing for these";
}

}  // namespace

std::optional<CheckpointFamily> checkpoint_family(const SafetensorsHeader& tensors) {
  constexpr size_t kRank = 4;  // of a convolution
  const Header header(tensors);
  const StoredTensor* in = header.find("model.diffusion_model.input_blocks.0.0.weight");
  const StoredTensor* out = header.find("model.diffusion_model.out.2.weight");
  if (in == nullptr || out == nullptr || in->shape.size() != kRank || out->shape.size() != kRank)
    return std::nullopt;
  CheckpointFamily family{kind_of(header), {}, {}};
  family.title = title_of(family.kind);
  tell_purpose(in->shape[1], out->shape[0], family);
  const bool added = header.any_below("model.diffusion_model.label_emb.");
  const bool takes_added =
      family.kind == CheckpointKind::kSdXl || family.kind == CheckpointKind::kSdXlRefiner;
  if (added != takes_added)
    family.refusal = added ? "its UNet has a class embedding, which brume has not"
                           : "its UNet takes no picture sizes, as those of its family do";
  if (header.find("edm_mean") != nullptr || header.find("edm_vpred.sigma_max") != nullptr)
    family.refusal = "it was trained with EDM's noise levels, which brume has not";
  if (header.find_ending("scaled_fp8") != nullptr || header.find_ending(".scale_weight") != nullptr)
    family.refusal = "its fp8 weights have scales of their own (scaled_fp8), which brume does not apply";
  return family;
}

}  // namespace brume
