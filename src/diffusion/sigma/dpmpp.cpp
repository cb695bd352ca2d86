#include <ATen/ATen.h>

#include <cmath>

#include "ancestral.h"
#include "brume/diffusion/sigma_samplers.h"
#include "lambda.h"

// All in lambda = -log(sigma), in which these solvers integrate the linear part exactly.
namespace brume {

namespace {

/// From sigma to `to` with a denoised picture that stays the same on the way.
at::Tensor exponential_step(const at::Tensor& x, const at::Tensor& denoised, double sigma, double to) {
  const double left = to / sigma;  // exp(-h)
  return left * x + (1 - left) * denoised;
}

}  // namespace

at::Tensor dpmpp_2s_ancestral(at::Tensor x, const SigmaWalk& walk) {
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const AncestralStep step = ancestral_step(sigma, walk.sigma(i + 1), walk.eta);
    at::Tensor denoised = walk.at(x, i).guided;
    if (step.down > 0) {
      const double middle = std::sqrt(sigma * step.down);
      const at::Tensor there = exponential_step(x, denoised, sigma, middle);
      denoised = walk.between(there, middle);
    }
    x = exponential_step(x, denoised, sigma, step.down);
    if (step.up > 0) x = x + walk.noise() * step.up;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpmpp_2m(at::Tensor x, const SigmaWalk& walk) {
  at::Tensor before;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor denoised = walk.at(x, i).guided;
    at::Tensor ahead = denoised;
    if (before.defined() && next > 0) {
      const double h = lambda_of(next) - lambda_of(sigma);
      const double r = (lambda_of(sigma) - lambda_of(walk.sigma(i - 1))) / h;
      ahead = denoised + (denoised - before) / (2 * r);
    }
    x = exponential_step(x, ahead, sigma, next);
    before = denoised;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpmpp_sde(at::Tensor x, const SigmaWalk& walk) {
  const auto fresh = [&] { return walk.eta > 0 ? walk.noise() : at::zeros_like(x); };
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor denoised = walk.at(x, i).guided;
    if (next == 0) {
      x = denoised;
    } else {
      const double middle = std::sqrt(sigma * next);
      const AncestralStep half = ancestral_step(sigma, middle, walk.eta);
      const at::Tensor first = fresh();
      const at::Tensor there = exponential_step(x, denoised, sigma, half.down) + first * half.up;
      const AncestralStep whole = ancestral_step(sigma, next, walk.eta);
      // Both noises are of one Brownian motion in sigma: that of the whole step goes on where the first ends.
      const at::Tensor noise =
          (std::sqrt(sigma - middle) * first + std::sqrt(middle - next) * fresh()) / std::sqrt(sigma - next);
      x = exponential_step(x, walk.between(there, middle), sigma, whole.down) + noise * whole.up;
    }
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpmpp_2m_sde(at::Tensor x, const SigmaWalk& walk) {
  at::Tensor before;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor denoised = walk.at(x, i).guided;
    if (next == 0) {
      x = denoised;
    } else {
      const double h = lambda_of(next) - lambda_of(sigma);
      const double grown = -std::expm1(-h - walk.eta * h);
      x = next / sigma * std::exp(-walk.eta * h) * x + grown * denoised;
      if (before.defined()) {
        const double r = (lambda_of(sigma) - lambda_of(walk.sigma(i - 1))) / h;
        x = x + 0.5 * grown / r * (denoised - before);
      }
      if (walk.eta > 0) x = x + walk.noise() * (next * std::sqrt(-std::expm1(-2 * walk.eta * h)));
    }
    before = denoised;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor dpmpp_3m_sde(at::Tensor x, const SigmaWalk& walk) {
  at::Tensor before;
  at::Tensor before_that;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor denoised = walk.at(x, i).guided;
    if (next == 0) {
      x = denoised;
    } else {
      const double h = lambda_of(next) - lambda_of(sigma);
      const double grown = (walk.eta + 1) * h;
      const double phi_2 = std::expm1(-grown) / grown + 1;
      x = std::exp(-grown) * x - std::expm1(-grown) * denoised;
      if (before.defined()) {
        const double r0 = (lambda_of(sigma) - lambda_of(walk.sigma(i - 1))) / h;
        const at::Tensor first = (denoised - before) / r0;
        if (before_that.defined()) {
          const double r1 = (lambda_of(walk.sigma(i - 1)) - lambda_of(walk.sigma(i - 2))) / h;
          const at::Tensor bend = (first - (before - before_that) / r1) / (r0 + r1);
          const double phi_3 = phi_2 / grown - 0.5;
          x = x + phi_2 * (first + bend * r0) - phi_3 * bend;
        } else {
          x = x + phi_2 * first;
        }
      }
      if (walk.eta > 0) x = x + walk.noise() * (next * std::sqrt(-std::expm1(-2 * walk.eta * h)));
    }
    before_that = before;
    before = denoised;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

}  // namespace brume
