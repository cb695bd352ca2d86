#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"

namespace brume::testing {

/// What is drawn for a trace of memory: one picture of a model of random weights, in one step, as steps do
/// not differ.
struct TracedDrawing {
  std::string model;  // of models/architectures
  int64_t width;
  int64_t height;

  ModelConfig config() const {
    return ModelConfig(BRUME_PROJECT "/models/architectures/" + model, {.origin = WeightsOrigin::kRandom});
  }
  Request request(const ModelConfig& config) const {
    PictureSettings settings;
    settings.prompt = "a photograph of an astronaut riding a horse";
    settings.steps = 1;
    settings.width = width;
    settings.height = height;
    return config.resolve(settings, {42});
  }
};

}  // namespace brume::testing
