#pragma once
#include <cstdint>
#include <vector>

// The CPU's kernels, compiled once for each instruction set. They take raw pointers and sizes, use one
// thread, and know no tensor; the desks split the work among threads and choose the machine.
namespace brume::kernels::cpu {

/// One head of one picture. Rows are `*_stride` elements apart, a row's elements side by side.
struct AttentionHead {
  const void* q;  // [queries, head_dim]
  const void* k;  // [keys, head_dim]
  const void* v;  // [keys, head_dim]
  void* out;      // [queries, head_dim]
  int64_t q_stride;
  int64_t k_stride;
  int64_t v_stride;
  int64_t out_stride;
  int64_t queries;
  int64_t keys;
  int64_t head_dim;
  float scale_log2;  // of the scores, times log2(e)
};

/// Attention in one dtype on one machine. Buffers are aligned to 64 bytes.
struct AttentionKernel {
  int64_t queries;                                          // of a block
  int64_t (*packed_bytes)(int64_t keys, int64_t head_dim);  // of a head's keys; as many of its values
  int64_t (*scratch_bytes)(int64_t head_dim);               // of a thread
  void (*pack)(const AttentionHead& head, void* keys, void* values);  // lays out a head's keys and values
  /// The block of queries that begins with `first`.
  void (*attend)(const AttentionHead& head, const void* keys, const void* values, int64_t first,
                 void* scratch);
};

/// Sums over pixels of x - shift and of its square, a channel each: moments without cancellation of the mean.
struct ChannelSums {
  float* shift;    // [channels], written: the first pixel
  float* sum;      // [channels]
  float* squares;  // [channels]
};

/// A part of a map, channels last: `pixels` rows of `channels` that are `stride` elements apart.
struct MapPart {
  const void* x;
  int64_t pixels;
  int64_t channels;
  int64_t stride;
};

struct LayerNormRows {
  const void* x;        // [rows, width]
  void* out;            // [rows, width]
  const float* weight;  // [width]
  const float* bias;    // [width]
  int64_t rows;
  int64_t width;
  float eps;
};

/// The kernels of one dtype.
struct DtypeKernels {
  AttentionKernel attention;
  void (*channel_sums)(const MapPart& part, const ChannelSums& sums);
  /// out = x * scale + shift, a channel each, then SiLU where it is wanted. `out` has rows `out_stride`
  /// apart.
  void (*scale_and_shift)(const MapPart& part, const float* scale, const float* shift, bool silu, void* out,
                          int64_t out_stride);
  void (*layer_norm)(const LayerNormRows& rows);
};

struct Machine {
  const char* name;  // of its instruction set
  DtypeKernels fp32;
  DtypeKernels bf16;
};

/// The machines that this processor has, the best first; the last one runs anywhere.
std::vector<const Machine*> machines();
/// The best of them.
const Machine& machine();

}  // namespace brume::kernels::cpu
