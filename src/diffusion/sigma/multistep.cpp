#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "brume/diffusion/sigma_samplers.h"
#include "derivative.h"

namespace brume {

namespace {

constexpr int64_t kOrder = 4;

/// The last derivatives, the newest first.
class Past {
 public:
  void add(const at::Tensor& d) {
    all_.push_front(d);
    if (all_.size() > kOrder) all_.pop_back();
  }
  int64_t size() const { return static_cast<int64_t>(all_.size()); }
  const at::Tensor& operator[](int64_t back) const { return all_[static_cast<size_t>(back)]; }

 private:
  std::deque<at::Tensor> all_;
};

/// Adams and Bashforth's combination for equal steps, of as high an order as there is a past.
at::Tensor adams_bashforth(const Past& d) {
  switch (d.size()) {
    case 1:
      return d[0];
    case 2:
      return (3 * d[0] - d[1]) / 2;
    case 3:
      return (23 * d[0] - 16 * d[1] + 5 * d[2]) / 12;
    default:
      return (55 * d[0] - 59 * d[1] + 37 * d[2] - 9 * d[3]) / 24;
  }
}

/// The integral from sigma i to sigma i + 1 of the polynomial that is one at sigma i - j and zero at the
/// other `order` last ones: by Gauss and Legendre's two points, exact up to the third degree.
double lms_coefficient(const SigmaWalk& walk, int64_t order, int64_t i, int64_t j) {
  const double half = (walk.sigma(i + 1) - walk.sigma(i)) / 2;
  const double middle = (walk.sigma(i + 1) + walk.sigma(i)) / 2;
  double sum = 0;
  for (const double place : {-std::sqrt(1.0 / 3), std::sqrt(1.0 / 3)}) {
    double product = 1;
    for (int64_t k = 0; k < order; ++k) {
      if (k == j) continue;
      product *= (middle + place * half - walk.sigma(i - k)) / (walk.sigma(i - j) - walk.sigma(i - k));
    }
    sum += product;
  }
  return half * sum;
}

}  // namespace

at::Tensor lms(at::Tensor x, const SigmaWalk& walk) {
  Past d;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    d.add(derivative(x, walk.at(x, i).guided, walk.sigma(i)));
    at::Tensor next = x;
    for (int64_t j = 0; j < d.size(); ++j) next = next + lms_coefficient(walk, d.size(), i, j) * d[j];
    x = next;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor plms(at::Tensor x, const SigmaWalk& walk) {
  Past past;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    past.add(d);
    at::Tensor along = adams_bashforth(past);
    if (i == 0 && walk.steps() > 1) {
      const at::Tensor there = x + d * (next - sigma);
      along = (d + derivative(there, walk.at(there, i + 1).guided, next)) / 2;
    }
    x = x + along * (next - sigma);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor ipndm(at::Tensor x, const SigmaWalk& walk) {
  Past past;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor denoised = walk.at(x, i).guided;
    past.add(derivative(x, denoised, sigma));
    x = next == 0 ? denoised : x + adams_bashforth(past) * (next - sigma);
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

at::Tensor deis(at::Tensor x, const SigmaWalk& walk) {
  constexpr int64_t kFewSteps = 15;  // with so few the last one is of first order
  // The integral of the polynomial in log(rho) that is one at b and zero at c.
  const auto integral = [](double at, double b, double c) {
    return at * (std::log(at) - std::log(c) - 1) / (std::log(b) - std::log(c));
  };
  at::Tensor before;
  for (int64_t i = 0; i < walk.steps(); ++i) {
    const double sigma = walk.sigma(i);
    const double next = walk.sigma(i + 1);
    const at::Tensor d = derivative(x, walk.at(x, i).guided, sigma);
    const bool first_order =
        i == 0 || next == 0 || (i + 1 == walk.steps() && walk.skipped + walk.steps() < kFewSteps);
    if (first_order) {
      x = x + d * (next - sigma);
    } else {
      const double last = walk.sigma(i - 1);
      x = x + (integral(next, sigma, last) - integral(sigma, sigma, last)) * d +
          (integral(next, last, sigma) - integral(sigma, last, sigma)) * before;
    }
    before = d;
    if (!walk.arrive(i, x)) break;
  }
  return x;
}

}  // namespace brume
