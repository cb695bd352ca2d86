#include "kernels/entry_small.h"

#include "kernels/entry_params.h"
#include "kernels/small_launch.h"

namespace {

using namespace brume::kernels;

Element element_of(int32_t element) { return static_cast<Element>(element); }
CUstream_st* stream_of(void* stream) { return static_cast<CUstream_st*>(stream); }
void* written(const void* data) { return const_cast<void*>(data); }

}  // namespace

int brume_layer_norm(const BrumeLayerNorm* call, void* stream) {
  if (!is_element(call->element)) return kNoKernel;
  const auto& [x, residual, sum, y, weight, bias] = call->pointers;
  const int64_t width = call->width;
  return launch_layer_norm({.rows = call->rows,
                            .width = call->width,
                            .x = {x, width},
                            .residual = {residual, width},
                            .sum = {written(sum), width},
                            .y = {written(y), width},
                            .weight = weight,
                            .bias = bias,
                            .eps = call->eps},
                           element_of(call->element), stream_of(stream));
}

int brume_geglu(const BrumeGeglu* call, void* stream) {
  if (!is_element(call->element)) return kNoKernel;
  const auto& [x, y] = call->pointers;
  return launch_geglu({.rows = call->rows,
                       .width = call->width,
                       .x = {x, int64_t{2} * call->width},
                       .y = {written(y), call->width}},
                      element_of(call->element), stream_of(stream));
}

int brume_silu(const BrumeSilu* call, void* stream) {
  if (!is_element(call->element)) return kNoKernel;
  const auto& [x, y] = call->pointers;
  return launch_silu({.count = call->count, .x = x, .y = written(y)}, element_of(call->element),
                     stream_of(stream));
}

int brume_timestep_embedding(const BrumeTimestepEmbedding* call, void* stream) {
  if (!is_element(call->element)) return kNoKernel;
  const auto& [values, y] = call->pointers;
  return launch_timestep_embedding(
      {.count = call->count,
       .width = call->width,
       .values = static_cast<const float*>(values),
       .y = {written(y), call->width},
       .order = call->cosine_first != 0 ? WaveOrder::kCosineFirst : WaveOrder::kSineFirst,
       .freq_shift = call->freq_shift},
      element_of(call->element), stream_of(stream));
}

int brume_guided_step(const BrumeGuidedStep* call, void* stream) {
  if (!is_element(call->element)) return kNoKernel;
  const auto& [latents, negative, positive, noise, next, table, step] = call->pointers;
  return launch_guided_step({.count = call->count,
                             .latents = static_cast<const float*>(latents),
                             .negative = negative,
                             .positive = positive,
                             .noise = static_cast<const float*>(noise),
                             .next = static_cast<float*>(written(next)),
                             .table = static_cast<const StepFactors*>(table),
                             .step = static_cast<const int*>(step)},
                            element_of(call->element), stream_of(stream));
}
