#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

// Samplers in terms of sigma, after k-diffusion (Katherine Crowson): x is the picture plus noise of standard
// deviation sigma, and a sampler follows it down a list of sigmas. All are functions of a walk and know no
// network; x is [N, C, H, W] fp32, and what they give is x at the last sigma.
namespace brume {

/// What a network makes of x at a sigma: the clean picture that it guesses, as guided, and as the negative
/// prompt alone has it.
struct Denoised {
  at::Tensor guided;
  at::Tensor negative;
};

struct SigmaWalk {
  std::vector<double> sigmas;  // steps + 1, falling
  /// `place`: which of the sigmas it is; nothing for one between them.
  std::function<Denoised(const at::Tensor& x, double sigma, std::optional<int64_t> place)> denoise;
  std::function<at::Tensor()> noise;                              // fresh standard normal noise, as x
  std::function<bool(int64_t step, const at::Tensor& x)> arrive;  // after each step; false stops there
  double eta = 1;       // how much of the noise that a stochastic sampler removes is made anew
  int64_t skipped = 0;  // steps of the schedule before the first of these

  int64_t steps() const { return static_cast<int64_t>(sigmas.size()) - 1; }
  double sigma(int64_t i) const { return sigmas[static_cast<size_t>(i)]; }
  Denoised at(const at::Tensor& x, int64_t i) const { return denoise(x, sigma(i), i); }
  at::Tensor between(const at::Tensor& x, double sigma) const { return denoise(x, sigma, {}).guided; }
};

/// "Elucidating the Design Space of Diffusion-Based Generative Models" (Karras et al. 2022), algorithm 2
/// without churn: Euler's method and Heun's. Mirror EulerDiscreteScheduler and HeunDiscreteScheduler.
at::Tensor euler(at::Tensor x, const SigmaWalk& walk);
at::Tensor heun(at::Tensor x, const SigmaWalk& walk);
/// Euler's method with ancestral noise. Mirrors EulerAncestralDiscreteScheduler.
at::Tensor euler_ancestral(at::Tensor x, const SigmaWalk& walk);
/// "CFG++: Manifold-constrained Classifier Free Guidance" (Chung et al. 2024): noise is taken off as guided,
/// and put on as the negative prompt has it.
at::Tensor euler_cfg_pp(at::Tensor x, const SigmaWalk& walk);
/// The midpoint method, in the logarithm of sigma ("DPM-Solver", Lu et al. 2022, of order 2). Mirror
/// KDPM2DiscreteScheduler and KDPM2AncestralDiscreteScheduler.
at::Tensor dpm_2(at::Tensor x, const SigmaWalk& walk);
at::Tensor dpm_2_ancestral(at::Tensor x, const SigmaWalk& walk);

/// "DPM-Solver++" (Lu et al. 2022): single-step of order 2 with ancestral noise, multistep of order 2
/// (mirrors DPMSolverMultistepScheduler), and their SDE forms, of which the multistep one of order 2 mirrors
/// the scheduler's sde-dpmsolver++.
at::Tensor dpmpp_2s_ancestral(at::Tensor x, const SigmaWalk& walk);
at::Tensor dpmpp_2m(at::Tensor x, const SigmaWalk& walk);
at::Tensor dpmpp_sde(at::Tensor x, const SigmaWalk& walk);
at::Tensor dpmpp_2m_sde(at::Tensor x, const SigmaWalk& walk);
at::Tensor dpmpp_3m_sde(at::Tensor x, const SigmaWalk& walk);

/// Linear multistep of order 4: Adams and Bashforth's for any sigmas. Mirrors LMSDiscreteScheduler.
at::Tensor lms(at::Tensor x, const SigmaWalk& walk);
/// "Pseudo Numerical Methods for Diffusion Models on Manifolds" (Liu et al. 2022) as Stable Diffusion began
/// with it: Adams and Bashforth's coefficients of equal steps, and a first step of two calls. Mirrors
/// PNDMScheduler with skip_prk_steps, for networks that predict noise.
at::Tensor plms(at::Tensor x, const SigmaWalk& walk);
/// "Improved PNDM" (Zhang and Chen, "Fast Sampling of Diffusion Models with Exponential Integrator", 2022):
/// the same coefficients, warming up by lower orders.
at::Tensor ipndm(at::Tensor x, const SigmaWalk& walk);
/// DEIS of that paper, of order 2 in the logarithm of rho. Mirrors DEISMultistepScheduler.
at::Tensor deis(at::Tensor x, const SigmaWalk& walk);

/// "UniPC" (Zhao et al. 2023) of order 2, bh2. Mirrors UniPCMultistepScheduler.
at::Tensor unipc(at::Tensor x, const SigmaWalk& walk);

}  // namespace brume
