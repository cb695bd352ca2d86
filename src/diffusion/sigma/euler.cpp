#include "ancestral.h"
#include "brume/diffusion/sigma_samplers.h"
#include "derivative.h"

namespace brume {

at::Tensor euler(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    x = x + d * (walk.sigma(i + 1) - sigma);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor euler_ancestral(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const AncestralStep step = ancestral_step(sigma, walk.sigma(i + 1), walk.eta);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    x = x + d * (step.down - sigma);
    if (step.up > 0) x = x + walk.noise() * step.up;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor euler_cfg_pp(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const Denoised denoised = walk.at(x, i);
    x = denoised.guided + derivative(x, denoised.negative, sigma) * walk.sigma(i + 1);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

}  // namespace brume
