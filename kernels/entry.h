#pragma once
#include <cstdint>

// Our kernels for callers without our headers: plain C, pointers to device memory, sizes and distances in
// elements. tools/kernel_bench calls these from Python. Each gives 0 for success, a CUDA error code, or -1
// where no kernel fits: its sizes, or its element, which attention has in half precision alone.
extern "C" {

/// What of a GPU the plans depend on.
struct BrumeGpu {
  int32_t multiprocessors;
  int32_t shared_bytes_a_block;
  int32_t shared_bytes_a_multiprocessor;
  int32_t capability;  // 90 for compute capability 9.0
  int64_t l2_bytes;
};

/// element: 0 fp32, 1 fp16, 2 bf16, as kernels::Element.
struct BrumeAttention {
  const void* pointers[4];  // q, k, v, out
  int64_t strides[12];      // picture, token and head of each of them
  int32_t batch;
  int32_t heads;
  int32_t queries;
  int32_t keys;
  int32_t head_dim;
  int32_t element;
};

int brume_attention(const BrumeAttention* call, const BrumeGpu* gpu, void* stream);
/// Writes the plan as a line of text.
int brume_attention_plan(const BrumeAttention* call, const BrumeGpu* gpu, char* text, int32_t size);

/// x [pictures, pixels, channels] may be a concatenation along channels: its last `second_channels` then lie
/// in a tensor of their own. embedding [pictures, channels] is added first; null: none. No other tensor may
/// be null, but a part of x that has no channels. `groups` must divide `channels`.
struct BrumeGroupNorm {
  const void* pointers[6];  // x, the second part of x, embedding, weight, bias, y
  void* workspace;
  int32_t pictures;
  int32_t pixels;
  int32_t channels;  // of both parts
  int32_t second_channels;
  int32_t groups;
  int32_t element;
  int32_t silu;
  float eps;
};

int brume_group_norm(const BrumeGroupNorm* call, const BrumeGpu* gpu, void* stream);
int64_t brume_group_norm_workspace(const BrumeGroupNorm* call, const BrumeGpu* gpu);
int brume_group_norm_plan(const BrumeGroupNorm* call, const BrumeGpu* gpu, char* text, int32_t size);
}
