#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace brume {

// What these may be, wherever they are typed.
inline constexpr int64_t kMostSide = 16384;  // pixels
inline constexpr int64_t kMostSteps = 1000;
inline constexpr double kMostGuidance = 1000;
inline constexpr int64_t kMostClipSkip = 100;

/// A picture as somebody asks for it. What is not said is the model's own choice, or the usual one.
struct PictureSettings {
  std::optional<std::string> prompt;
  std::optional<std::string> negative_prompt;
  std::optional<int64_t> width;
  std::optional<int64_t> height;
  std::optional<int64_t> steps;
  std::optional<double> cfg_scale;
  std::optional<double> cfg_rescale;
  std::optional<double> image_cfg_scale;  // of models that see a picture beside the latents
  std::optional<double> guidance_start;  // shares of the steps between which the negative prompt is looked at
  std::optional<double> guidance_end;
  std::optional<double> mimic_scale;  // MimicThreshold
  std::optional<double> threshold_percentile;
  std::optional<double> pag_scale;  // PerturbedGuidance
  std::optional<double> pag_adaptive_scale;
  std::optional<std::string> pag_layers;  // with commas
  std::optional<std::string> freeu;       // as free_u_from_text reads it; empty: none, whatever others say
  std::optional<std::string> sampler;     // any name that named_sampler knows
  std::optional<std::string> scheduler;   // any name that spacing_from_name knows, or a list of sigmas
  std::optional<double> eta;
  std::optional<int64_t> seed;          // -1: any
  std::optional<std::string> rng;       // any name that noise_kind_from_name knows
  std::optional<std::string> init_img;  // the file of a picture to change; empty: none, whatever others say
  std::optional<double> strength;       // how much of it, 0 to 1
  std::optional<std::string> mask;      // the file of its mask: what is white is drawn anew; empty: none
  std::optional<int64_t> clip_skip;     // as `compat` counts
  std::optional<bool> vae_tiling;
  std::optional<std::string> compat;  // any name that compat_from_name knows
  std::optional<bool> strict;         // words that are not read as they stand are refused

  /// Takes from `others` what is not said here.
  void complete_with(const PictureSettings& others);
};

}  // namespace brume
