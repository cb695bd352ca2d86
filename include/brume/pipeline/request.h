#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/noise.h"
#include "brume/diffusion/guidance.h"
#include "brume/diffusion/samplers.h"
#include "brume/image/picture.h"
#include "brume/image/picture_file.h"
#include "brume/text/adapter_tags.h"
#include "brume/text/compat.h"
#include "brume/unet/row_change.h"

namespace brume {

/// A prompt that adapters' tags were taken out of.
struct PromptAdapters {
  std::string text;      // as it was typed, for recipes
  std::string adapters;  // the tags, as tags_text writes them
  std::vector<AdapterTag> tags;
  std::string chosen = {};  // the text after its choices were made, with the tags; empty: there were none
};

enum class DecodeMode { kWhole, kTiled };

/// What becomes of words that are not read as they stand: cut, or without the meaning that they seem to have.
enum class Unread { kTell, kRefuse };

/// How prompts are read.
struct Reading {
  Compat compat = Compat::kA1111;
  Unread unread = Unread::kTell;
};

/// Prompts before choices were made in them.
struct TypedPrompts {
  std::string prompt;
  std::optional<std::string> negative_prompt;
};

/// A picture that is changed, instead of one made of noise alone.
struct PictureEdit {
  PictureFile picture;
  // Which share of the steps is taken; nothing: the UNet sees the picture beside latents that begin as noise.
  std::optional<double> strength;
  std::optional<PictureFile> mask = {};  // white where it is drawn anew
};

/// One call of the pipeline: a batch of pictures of one prompt, one for each seed.
struct Request {
  std::string prompt;                      // its words alone
  std::optional<PromptAdapters> adapters;  // where there were tags
  std::optional<std::string> negative_prompt;
  int64_t width = 512;
  int64_t height = 512;
  std::vector<uint64_t> seeds;
  NoiseKind rng = NoiseKind::kCpu;
  SamplingSettings sampling;
  GuidanceSettings guidance;
  std::optional<FreeU> free_u;
  Reading reading;
  std::optional<TypedPrompts> typed;  // where the prompts are what was chosen (chosen_words.h)
  int64_t clip_skip = 1;              // 1: the last layer, as the model has it; 2: the one before
  DecodeMode decode = DecodeMode::kWhole;
  std::optional<PictureEdit> edit;         // sampling.first_step is what its strength comes to
  std::optional<at::Tensor> init_latents;  // [N, C, height/f, width/f] fp32, instead of noise from the seeds
};

/// What became of one picture. A picture whose numbers overflowed is never given: `failed_stage` says where
/// it happened.
struct PictureResult {
  uint64_t seed = 0;
  std::optional<Picture> picture;
  std::string failed_stage;
  std::vector<std::string> notes;  // for its recipe
};

struct PhaseTimes {
  double text_seconds = 0;
  double encode_seconds = 0;  // of pictures that are read
  double denoise_seconds = 0;
  double decode_seconds = 0;
};

struct Generation {
  std::vector<PictureResult> pictures;  // one a seed; empty where the observer stopped the run
  at::Tensor latents;                   // [N, C, h, w] fp32, as the UNet sees them, after the last step
  PhaseTimes times;
  bool stopped = false;
};

/// Watches a generation, and may stop it.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A tensor on the way, by name: ids, context, pooled, unet_out_step0, latents_step0, ..., decoded.
  virtual void on_stage(std::string_view /*name*/, const at::Tensor& /*tensor*/) {}
  /// After each denoising step.
  virtual void on_step(int64_t /*done*/, int64_t /*total*/) {}
  /// Asked after each step and before decoding.
  virtual bool stop_requested() { return false; }
};

}  // namespace brume
