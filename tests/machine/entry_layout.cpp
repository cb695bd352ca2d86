#include <cstddef>

#include "kernels/entry.h"
#include "kernels/entry_small.h"

// Where the compiler lays the fields of the structs of kernels/entry*.h: tests/kernel_bench_test.py compares
// them with Python's.
extern "C" {

struct BrumeField {
  const char* type;
  const char* name;  // empty: the whole struct
  size_t offset;
  size_t size;
};

const BrumeField* brume_entry_layout();
}

#define WHOLE(type) \
  { #type, "", 0, sizeof(type) }
#define FIELD(type, name) \
  { #type, #name, offsetof(type, name), sizeof(type::name) }

const BrumeField* brume_entry_layout() {
  static const BrumeField kFields[] = {
      FIELD(BrumeGpu, multiprocessors),
      FIELD(BrumeGpu, shared_bytes_a_block),
      FIELD(BrumeGpu, shared_bytes_a_multiprocessor),
      FIELD(BrumeGpu, capability),
      FIELD(BrumeGpu, l2_bytes),
      WHOLE(BrumeGpu),
      FIELD(BrumeAttention, pointers),
      FIELD(BrumeAttention, strides),
      FIELD(BrumeAttention, batch),
      FIELD(BrumeAttention, heads),
      FIELD(BrumeAttention, queries),
      FIELD(BrumeAttention, keys),
      FIELD(BrumeAttention, head_dim),
      FIELD(BrumeAttention, element),
      WHOLE(BrumeAttention),
      FIELD(BrumeGroupNorm, pointers),
      FIELD(BrumeGroupNorm, workspace),
      FIELD(BrumeGroupNorm, pictures),
      FIELD(BrumeGroupNorm, pixels),
      FIELD(BrumeGroupNorm, channels),
      FIELD(BrumeGroupNorm, second_channels),
      FIELD(BrumeGroupNorm, groups),
      FIELD(BrumeGroupNorm, element),
      FIELD(BrumeGroupNorm, silu),
      FIELD(BrumeGroupNorm, eps),
      WHOLE(BrumeGroupNorm),
      FIELD(BrumeLayerNorm, pointers),
      FIELD(BrumeLayerNorm, rows),
      FIELD(BrumeLayerNorm, width),
      FIELD(BrumeLayerNorm, element),
      FIELD(BrumeLayerNorm, eps),
      WHOLE(BrumeLayerNorm),
      FIELD(BrumeGeglu, pointers),
      FIELD(BrumeGeglu, rows),
      FIELD(BrumeGeglu, width),
      FIELD(BrumeGeglu, element),
      WHOLE(BrumeGeglu),
      FIELD(BrumeSilu, pointers),
      FIELD(BrumeSilu, count),
      FIELD(BrumeSilu, element),
      WHOLE(BrumeSilu),
      FIELD(BrumeTimestepEmbedding, pointers),
      FIELD(BrumeTimestepEmbedding, count),
      FIELD(BrumeTimestepEmbedding, width),
      FIELD(BrumeTimestepEmbedding, element),
      FIELD(BrumeTimestepEmbedding, cosine_first),
      FIELD(BrumeTimestepEmbedding, freq_shift),
      WHOLE(BrumeTimestepEmbedding),
      FIELD(BrumeGuidedStep, pointers),
      FIELD(BrumeGuidedStep, count),
      FIELD(BrumeGuidedStep, element),
      WHOLE(BrumeGuidedStep),
      {nullptr, nullptr, 0, 0},
  };
  return kFields;
}
