#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/file.h"
#include "brume/pipeline/model_config.h"
#include "brume/weights/packed_origin.h"

namespace brume {

/// How a model is packed.
struct PackSettings {
  std::optional<at::ScalarType> dtype = {};  // nothing: every tensor as it is stored
  Existing existing = Existing::kKeep;
  std::string program = {};                   // that packs: "brume 0.1.0"
  std::optional<Prediction> prediction = {};  // that was said, for the record; `model` has it already
  std::function<void(uint64_t done, uint64_t total)> progress = [](uint64_t, uint64_t) {};  // bytes
};

struct PackedModelFile {
  uint64_t tensors = 0;
  uint64_t bytes = 0;  // of the tensors
  PackedOrigin origin;
  std::vector<std::string>
      not_finite;  // tensors that hold infinities or what is no number: stored as they are
};

/// Writes a model (weights, configurations, tokenizers; adapters merged, another autoencoder taken in) into
/// one file, which open_model reads again: see PackedFile. A tensor at a time is in memory. With a dtype the
/// UNet, the text encoders and the autoencoder are cast to it, but for an autoencoder that ModelConfig keeps
/// in fp32: so the file draws in that dtype what the model draws in it. Throws kModelInvalid, also for values
/// that fp16 does not hold, and kOutputFailed, with nothing left behind.
PackedModelFile pack_model(const ModelConfig& model, const std::filesystem::path& to,
                           const PackSettings& settings);

}  // namespace brume
