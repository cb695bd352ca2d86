#pragma once
#include <cstdint>

// As entry.h, for the kernels that each remove a pass over memory (small_params.h says what they compute).
// All tensors lie tight; `element` is as in entry.h. Each gives 0 for success, a CUDA error code, or
// -1 where `element` is none.
extern "C" {

/// x, residual, sum and y [rows, width], weight and bias [width]. Without a residual, residual and sum are
/// null.
struct BrumeLayerNorm {
  const void* pointers[6];  // x, residual, sum, y, weight, bias
  int32_t rows;
  int32_t width;
  int32_t element;
  float eps;
};

/// x [rows, 2 width] -> y [rows, width].
struct BrumeGeglu {
  const void* pointers[2];  // x, y
  int32_t rows;
  int32_t width;
  int32_t element;
};

struct BrumeSilu {
  const void* pointers[2];  // x, y
  int64_t count;
  int32_t element;
};

/// values [count] in fp32 -> y [count, width].
struct BrumeTimestepEmbedding {
  const void* pointers[2];  // values, y
  int32_t count;
  int32_t width;
  int32_t element;
  int32_t cosine_first;
  float freq_shift;
};

/// latents, noise and next in fp32, negative and positive in `element`; negative and noise may be null. table
/// has four floats a step (kernels::StepFactors), step an int32, both on the device.
struct BrumeGuidedStep {
  const void* pointers[7];  // latents, negative, positive, noise, next, table, step
  int64_t count;
  int32_t element;
};

int brume_layer_norm(const BrumeLayerNorm* call, void* stream);
int brume_geglu(const BrumeGeglu* call, void* stream);
int brume_silu(const BrumeSilu* call, void* stream);
int brume_timestep_embedding(const BrumeTimestepEmbedding* call, void* stream);
int brume_guided_step(const BrumeGuidedStep* call, void* stream);
}
