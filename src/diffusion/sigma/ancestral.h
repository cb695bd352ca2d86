#pragma once
#include <algorithm>
#include <cmath>

namespace brume {

/// A step from one sigma to another that goes below it and comes back with fresh noise ("Denoising Diffusion
/// Implicit Models", equation 16, in terms of sigma).
struct AncestralStep {
  double down;  // where the deterministic part ends
  double up;    // standard deviation of the noise added there
};

inline AncestralStep ancestral_step(double from, double to, double eta) {
  const double up = std::min(to, eta * std::sqrt(to * to * (from * from - to * to) / (from * from)));
  return {std::sqrt(to * to - up * up), up};
}

}  // namespace brume
