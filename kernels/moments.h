#pragma once
#include "kernels/device/device.h"

// What the norms share.
namespace brume::kernels::device {

BRUME_HOST_DEVICE int smaller(int a, int b) { return a < b ? a : b; }

BRUME_DEVICE float sigmoid(float x) {
  constexpr float kLog2E = 1.44269504088896F;
  return reciprocal_fast(1.0F + exp2_fast(-kLog2E * x));
}

/// Of some numbers: how many, their mean, and the sum of squared deviations from it.
struct Moments {
  float count;
  float mean;
  float squares;
};

/// Of both together, without cancellation ("Updating formulae and a pairwise algorithm", Chan et al. 1979).
BRUME_DEVICE Moments merged(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  const float share = b.count == 0 ? 0.0F : a.count == 0 ? 1.0F : b.count * reciprocal_fast(count);
  const float apart = b.mean - a.mean;
  return {count, multiply_add(apart, share, a.mean),
          multiply_add(apart * apart * a.count, share, a.squares + b.squares)};
}

/// Of a warp's lanes, the same in each.
BRUME_DEVICE float summed_in_warp(float mine) {
  for (int mask = 16; mask > 0; mask /= 2) mine += shuffle_xor(mine, mask);
  return mine;
}
BRUME_DEVICE Moments merged_in_warp(Moments mine) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const Moments other{shuffle_xor(mine.count, mask), shuffle_xor(mine.mean, mask),
                        shuffle_xor(mine.squares, mask)};
    mine = merged(mine, other);
  }
  return mine;
}

}  // namespace brume::kernels::device
