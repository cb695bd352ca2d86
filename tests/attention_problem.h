#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/attention_params.h"
#include "kernels/attention_plan.h"
#include "kernels/device/device.h"

// Tensors for the attention kernels, and the float64 formula of their result.
namespace brume::kernels {

/// A tensor [batch, tokens, heads, head_dim] inside a larger one, as a projection leaves it.
template <class T>
struct Packed {
  std::vector<T> storage;
  TokenStrides strides;
  int64_t offset;

  Packed(const AttentionShape& shape, int tokens, int parts, int part) {
    const int64_t width = int64_t{shape.heads} * shape.head_dim;
    strides = {tokens * width * parts, width * parts, shape.head_dim};
    offset = part * width;
    // No element beyond the last that may be read, so that the address sanitizer sees the next.
    storage.resize(static_cast<size_t>((int64_t{shape.batch} * tokens - 1) * width * parts + offset + width));
  }
  T* first() { return storage.data() + offset; }
  T& at(int picture, int token, int head, int i) {
    return first()[picture * strides.picture + token * strides.token + head * strides.head + i];
  }
};

template <class T>
struct Problem {
  AttentionShape shape;
  Packed<T> q;
  Packed<T> k;
  Packed<T> v;
  Packed<T> out;

  explicit Problem(const AttentionShape& of)
      : shape(of),
        q(of, of.queries, 3, 1),
        k(of, of.keys, 2, 0),
        v(of, of.keys, 2, 1),
        out(of, of.queries, 1, 0) {}

  void fill(uint32_t seed, float scale) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (auto* tensor : {&q, &k, &v})
      for (T& x : tensor->storage) x = device::from_float<T>(normal(random) * scale);
    for (T& x : out.storage) x = device::from_float<T>(std::numeric_limits<float>::quiet_NaN());
  }

  AttentionParams params() {
    constexpr double kLog2E = 1.4426950408889634;
    return {q.first(),
            k.first(),
            v.first(),
            out.first(),
            q.strides,
            k.strides,
            v.strides,
            out.strides,
            shape.queries,
            shape.keys,
            static_cast<float>(kLog2E / std::sqrt(double{1} * shape.head_dim))};
  }

  /// The largest error, in units of what rounding the weights and the result to T can do.
  double worst_error() {
    const double unit = std::is_same_v<T, device::Half> ? 0x1p-11 : 0x1p-8;
    double worst = 0;
    for (int n = 0; n < shape.batch; ++n) {
      for (int head = 0; head < shape.heads; ++head) {
        for (int token = 0; token < shape.queries; ++token)
          worst = std::max(worst, row_error(n, head, token, unit));
      }
    }
    return worst;
  }

 private:
  double row_error(int n, int head, int token, double unit) {
    std::vector<double> weights(static_cast<size_t>(shape.keys));
    double peak = -std::numeric_limits<double>::infinity();
    for (int key = 0; key < shape.keys; ++key) {
      double dot = 0;
      for (int i = 0; i < shape.head_dim; ++i)
        dot += double{to_float(q.at(n, token, head, i))} * double{to_float(k.at(n, key, head, i))};
      weights[static_cast<size_t>(key)] = dot / std::sqrt(double{1} * shape.head_dim);
      peak = std::max(peak, weights[static_cast<size_t>(key)]);
    }
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - peak);
    double worst = 0;
    for (int i = 0; i < shape.head_dim; ++i) {
      double wanted = 0;
      double magnitude = 0;
      for (int key = 0; key < shape.keys; ++key) {
        const double value =
            weights[static_cast<size_t>(key)] / sum * double{to_float(v.at(n, key, head, i))};
        wanted += value;
        magnitude += std::abs(value);
      }
      const double error = std::abs(double{to_float(out.at(n, token, head, i))} - wanted);
      if (!(error >= 0)) return std::numeric_limits<double>::infinity();
      worst = std::max(worst, error / (unit * (magnitude + 1e-3)));
    }
    return worst;
  }
};

/// The worst error where all scores are equal and huge (size squared times head_dim), and the values are 0
/// for the first half of the keys and 1 for the second; infinite where `run` finds a fault.
template <class T, class Run>
double equal_scores_error(const AttentionShape& shape, float size, const Run& run) {
  Problem<T> problem(shape);
  problem.fill(1, 1);
  for (auto* tensor : {&problem.q, &problem.k})
    for (T& x : tensor->storage) x = device::from_float<T>(size);
  for (int n = 0; n < shape.batch; ++n) {
    for (int key = 0; key < shape.keys; ++key) {
      for (int head = 0; head < shape.heads; ++head) {
        for (int i = 0; i < shape.head_dim; ++i)
          problem.v.at(n, key, head, i) = device::from_float<T>(2 * key < shape.keys ? 0.0F : 1.0F);
      }
    }
  }
  if (!run(problem).faults.empty()) return std::numeric_limits<double>::infinity();
  return problem.worst_error();
}

// Rounding the weights and the result costs at most one unit each, the exponentials of large scores a little
// more.
inline constexpr double kMostUnits = 3;

}  // namespace brume::kernels
