#include <cmath>

#include "ancestral.h"
#include "brume/diffusion/sigma_samplers.h"
#include "derivative.h"

namespace brume {

namespace {

/// From sigma to `to` > 0, by the derivative half-way.
at::Tensor midpoint(const at::Tensor& x, const at::Tensor& d, double sigma, double to,
                    const SigmaWalk& walk) {
  const double middle = std::sqrt(sigma * to);
  const at::Tensor there = x + d * (middle - sigma);
  return x + derivative(there, walk.between(there, middle), middle) * (to - sigma);
}

}  // namespace

at::Tensor heun(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    const at::Tensor there = x + d * (next - sigma);
    // At zero the derivative is not known.
    x = next == 0 ? there
                  : x + (d + derivative(there, walk.at(there, i + 1).guided, next)) / 2 * (next - sigma);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpm_2(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    x = next == 0 ? x + d * (next - sigma) : midpoint(x, d, sigma, next, walk);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpm_2_ancestral(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const AncestralStep step = ancestral_step(sigma, walk.sigma(i + 1), walk.eta);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    x = step.down == 0 ? x + d * (step.down - sigma) : midpoint(x, d, sigma, step.down, walk);
    if (step.up > 0) x = x + walk.noise() * step.up;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

}  // namespace brume
