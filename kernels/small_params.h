#pragma once
#include <cstdint>

// The operands of the small kernels, which each remove a pass over memory.
namespace brume::kernels {

/// A matrix whose rows begin `stride` elements apart.
struct Rows {
  const void* data;
  int64_t stride;
};
struct MutableRows {
  void* data;
  int64_t stride;
};

/// y = (s - mean) / sqrt(variance + eps) * weight + bias of each row of s = x + residual.
struct LayerNormParams {
  int rows;
  int width;
  Rows x;
  Rows residual;    // null data: none
  MutableRows sum;  // where s is written too; null data: nowhere. May be x or residual
  MutableRows y;
  const void* weight;  // [width]
  const void* bias;    // [width]
  float eps;
};

/// y [rows, width] = x[:, :width] * gelu(x[:, width:]), as diffusers' GEGLU.
struct GegluParams {
  int rows;
  int width;
  Rows x;
  MutableRows y;
};

/// y = x * sigmoid(x); y may be x.
struct SiluParams {
  int64_t count;
  const void* x;
  void* y;
};

enum class WaveOrder { kSineFirst, kCosineFirst };

/// As nn::sinusoidal_embedding: values [count] in fp32 -> y [count, width].
struct TimestepEmbeddingParams {
  int count;
  int width;
  const float* values;
  MutableRows y;
  WaveOrder order;
  float freq_shift;
};

/// What a DDIM step multiplies with (small_plan.h gives it).
struct alignas(16) StepFactors {
  float latents;
  float prediction;
  float noise;
  float guidance;
};

/// next = factors.latents * latents + factors.prediction * p + factors.noise * noise, with the guided
/// prediction p = negative + factors.guidance * (positive - negative). The factors lie in a table on the
/// device and are chosen by a number there, so that a captured graph serves every step.
struct GuidedStepParams {
  int64_t count;
  const float* latents;
  const void* negative;  // null: p = positive
  const void* positive;
  const float* noise;  // null: none
  float* next;         // may be latents
  const StepFactors* table;
  const int* step;
};

}  // namespace brume::kernels
