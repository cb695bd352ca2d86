#pragma once
#include <cstdint>

namespace brume::kernels {

/// Blocks of a launch that a multiprocessor holds at once: the kernels promise registers for so many.
inline constexpr int kGroupNormBlocksEach = 2;

enum class NormActivation { kNone, kSilu };

/// x [pictures, pixels, channels]: channels of one pixel lie side by side (NHWC).
struct GroupNormShape {
  int pictures;
  int pixels;  // H * W
  int channels;
  int groups;
};

/// A run of channels of x that lies in memory of its own. Strides count elements.
struct GroupNormPart {
  const void* data;
  int channels;
  int64_t pixel_stride;
  int64_t picture_stride;
};

/// How a map is cut (group_norm_plan.h). A slice is some whole groups of one picture; a chunk some pixels of
/// a slice, which one block works on.
struct GroupNormPlan {
  enum class Mode { kOneLaunch, kTwoPasses } mode;
  int vector;        // elements an access: 16 bytes' worth, or 1
  int slice_groups;  // the last slice of a picture may have fewer
  int slices;        // of a picture
  int threads;
  int chunks;  // of a slice
  int chunk_pixels;
  int teams;  // one launch: slices that are worked on at once; two passes: slices between the passes
  int slots;  // vectors that a thread keeps on chip
  int shared_bytes;
};

/// act((x + embedding - mean) / sqrt(variance + eps) * weight + bias), all of the same type T.
struct GroupNormParams {
  GroupNormShape shape;
  GroupNormPart parts[2];    // the concatenation along channels; the second may have none
  const void* embedding;     // [pictures, channels], null: none
  int64_t embedding_stride;  // elements from picture to picture
  const void* weight;        // [channels]
  const void* bias;          // [channels]
  void* y;                   // [pictures, pixels, channels]; may be parts[0].data where that is all of x
  int64_t y_pixel_stride;
  int64_t y_picture_stride;
  // One for each stream: launches that overlap on one would spoil each other's meetings.
  void* workspace;  // group_norm_workspace_bytes; its head of kGroupNormMeetingBytes zero before first use
  float eps;
  NormActivation activation;
};

/// The workspace begins with a state of 16 bytes for each slice that blocks meet at. It is left as the next
/// launch needs it, whatever that one's shape, so that a graph can be replayed.
inline constexpr int kGroupNormMostSlices = 1024;
inline constexpr int kGroupNormMeetingBytes = kGroupNormMostSlices * 16;

}  // namespace brume::kernels
