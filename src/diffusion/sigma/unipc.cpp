#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "brume/diffusion/sigma_samplers.h"
#include "lambda.h"

namespace brume {

namespace {

/// The exponentials of a step of -h in lambda: phi_1 = e^-h - 1 and what bh2 divides by it.
struct Phi {
  double h;
  double one;     // e^hh - 1, hh = -h; also B(h)
  double first;   // phi_2 hh / B
  double second;  // 2 phi_3 hh / B

  explicit Phi(double step) : h(step), one(std::expm1(-step)) {
    const double hh = -step;
    const double two = one / hh - 1;
    first = two / one;
    second = 2 * (two / hh - 0.5) / one;
  }
};

/// What is known at one sigma.
struct Known {
  double sigma;
  at::Tensor denoised;
};

/// From `from` to `to`, by the slope of the denoised picture towards `before` where it is defined.
at::Tensor predict(const at::Tensor& x, const Known& from, const Known& before, double to) {
  if (to == 0) return from.denoised;
  const Phi phi(lambda_of(to) - lambda_of(from.sigma));
  at::Tensor linear = to / from.sigma * x - phi.one * from.denoised;
  if (!before.denoised.defined()) return linear;
  const double r = (lambda_of(before.sigma) - lambda_of(from.sigma)) / phi.h;
  return linear - phi.one * 0.5 * (before.denoised - from.denoised) / r;
}

/// The same step once more, now that the denoised picture at its end is known.
at::Tensor correct(const at::Tensor& x, const Known& from, const Known& before, const Known& arrived) {
  const Phi phi(lambda_of(arrived.sigma) - lambda_of(from.sigma));
  const at::Tensor linear = arrived.sigma / from.sigma * x - phi.one * from.denoised;
  const at::Tensor change = arrived.denoised - from.denoised;
  if (!before.denoised.defined()) return linear - phi.one * 0.5 * change;
  const double r = (lambda_of(before.sigma) - lambda_of(from.sigma)) / phi.h;
  // Two equations: the weights of both slopes sum to `first`, and weighted by their places to `second`.
  const double of_past = (phi.first - phi.second) / (1 - r);
  const double of_change = phi.first - of_past;
  return linear - phi.one * (of_past / r * (before.denoised - from.denoised) + of_change * change);
}

}  // namespace

at::Tensor unipc(at::Tensor x, const SigmaWalk& walk) {
  at::Tensor start;  // x at `from`
  Known from{};
  Known before{};  // as the last step used it
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const Known here{walk.sigma(i), walk.at(x, i).guided};
    if (i > 0) x = correct(start, from, before, here);
    before = i + 1 < walk.steps() ? from : Known{};  // the last step is of first order
    start = x;
    from = here;
    x = predict(start, from, before, walk.sigma(i + 1));
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

}  // namespace brume
