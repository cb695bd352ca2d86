#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/attention_plan.h"
#include "kernels/element.h"

struct CUstream_st;

// What every launch of the plug-in needs to know of a tensor and its GPU.
namespace brume::kernels::gpu {

/// Of the device that the thread works on.
struct Device {
  GpuLimits limits;
  int32_t major;
  int32_t minor;
  int64_t l2_bytes;
};
Device current_device();
/// Where the thread's work goes.
CUstream_st* current_stream();

/// Of fp32, fp16 or bf16. Throws std::invalid_argument for others.
Element element_of(const at::Tensor& tensor);
inline bool is_half(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
}

/// Throws c10::AcceleratorError for a CUDA error other than 0, naming what failed; c10::OutOfMemoryError for
/// memory.
void check(int error, const char* what);

}  // namespace brume::kernels::gpu
