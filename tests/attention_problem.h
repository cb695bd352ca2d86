#pragma once
#include <algorithm>
#include <array>
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

/// Ways in which a tensor [batch, tokens, heads, head_dim] lies inside a larger one.
enum class Layout {
  kProjection,  // a part of a packed projection [batch, tokens, parts, heads, head_dim]
  kWideHeads,   // a gap after every head
  kApart,       // gaps after every token and every picture
  kHeadsFirst   // [batch, heads, tokens, head_dim], with gaps after each of the three
};

/// What the layouts of q, k and v may be: any, or those of which the driver makes a tensor map.
enum class Strides { kAny, kOfTensorMaps };

/// The layouts of q, k, v and out: each another one, so that whoever reads one by the strides of another, or
/// takes a stride for what the shape makes of the others, goes wrong. Drawn by the shape.
inline std::array<Layout, 4> draw_layouts(const AttentionShape& shape, Strides strides) {
  std::seed_seq seed{shape.batch, shape.heads, shape.queries, shape.keys, shape.head_dim};
  std::mt19937 random(seed);
  std::array layouts{Layout::kProjection, Layout::kWideHeads, Layout::kApart, Layout::kHeadsFirst};
  std::shuffle(layouts.begin(), layouts.end() - (strides == Strides::kOfTensorMaps ? 1 : 0), random);
  return layouts;
}

/// Where it lies; the gaps are multiples of `unit` elements.
inline TokenStrides strides_of(Layout layout, const AttentionShape& shape, int64_t tokens, int64_t unit) {
  const int64_t row = shape.head_dim;
  const int64_t heads = shape.heads;
  switch (layout) {
    case Layout::kProjection:
      return {tokens * 3 * heads * row, 3 * heads * row, row};
    case Layout::kWideHeads:
      return {tokens * heads * (row + unit), heads * (row + unit), row + unit};
    case Layout::kApart:
      return {(tokens + 2) * (heads + 1) * row, (heads + 1) * row, row};
    case Layout::kHeadsFirst:
      break;
  }
  const int64_t head = tokens * (row + 3 * unit) + unit;
  return {heads * head + 2 * unit, row + 3 * unit, head};
}

/// A tensor [batch, tokens, heads, head_dim] inside a larger one.
template <class T>
struct Placed {
  std::vector<T> storage;
  TokenStrides strides;
  int64_t offset;

  Placed(const AttentionShape& shape, int tokens, Layout layout, int64_t unit)
      : strides(strides_of(layout, shape, tokens, unit)),
        offset(layout == Layout::kProjection ? int64_t{shape.heads} * shape.head_dim : 2 * unit) {
    // No element beyond the last that may be read, so that the address sanitizer sees the next.
    storage.resize(static_cast<size_t>(index(shape.batch - 1, tokens - 1, shape.heads - 1, shape.head_dim)));
  }
  T* first() { return storage.data() + offset; }
  int64_t index(int picture, int token, int head, int i) const {
    return offset + picture * strides.picture + token * strides.token + head * strides.head + i;
  }
  T& at(int picture, int token, int head, int i) {
    return storage[static_cast<size_t>(index(picture, token, head, i))];
  }
};

template <class T>
struct Problem {
  // What the kernels ask for: q, k and v by 16 bytes, out by 4.
  static constexpr int64_t kReadUnit = 8;
  static constexpr int64_t kWriteUnit = 2;

  AttentionShape shape;
  Placed<T> q;
  Placed<T> k;
  Placed<T> v;
  Placed<T> out;

  explicit Problem(const AttentionShape& of, Strides strides = Strides::kAny)
      : Problem(of, draw_layouts(of, strides)) {}
  Problem(const AttentionShape& of, const std::array<Layout, 4>& layouts)
      : shape(of),
        q(of, of.queries, layouts[0], kReadUnit),
        k(of, of.keys, layouts[1], kReadUnit),
        v(of, of.keys, layouts[2], kReadUnit),
        out(of, of.queries, layouts[3], kWriteUnit) {}

  /// Normal numbers times `scale`, but for the first column of q and k: it makes every score smaller by 16,
  /// which softmax does not see. Beside such keys the zeros that stand for keys that do not exist would have
  /// all the weight, were they not masked.
  void fill(uint32_t seed, float scale) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (auto* tensor : {&q, &k, &v})
      for (T& x : tensor->storage) x = device::from_float<T>(normal(random) * scale);
    const float column = 4 * std::sqrt(std::sqrt(static_cast<float>(shape.head_dim)));
    for_each_row(shape.queries,
                 [&](int n, int t, int h) { q.at(n, t, h, 0) = device::from_float<T>(column); });
    for_each_row(shape.keys, [&](int n, int t, int h) { k.at(n, t, h, 0) = device::from_float<T>(-column); });
    for (T& x : out.storage) x = unwritten();
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

  /// The largest error, in units of what rounding the weights and the result to T can do; infinite where
  /// something is written beside the result.
  double worst_error() {
    const double unit = std::is_same_v<T, device::Half> ? 0x1p-11 : 0x1p-8;
    double worst = 0;
    std::vector<bool> mine(out.storage.size());
    for_each_row(shape.queries, [&](int n, int token, int head) {
      worst = std::max(worst, row_error(n, head, token, unit));
      const auto first = static_cast<size_t>(out.index(n, token, head, 0));
      std::fill_n(mine.begin() + static_cast<ptrdiff_t>(first), shape.head_dim, true);
    });
    for (size_t i = 0; i < mine.size(); ++i) {
      if (!mine[i] && out.storage[i].bits != unwritten().bits) return std::numeric_limits<double>::infinity();
    }
    return worst;
  }

  /// Calls visit(picture, token, head) for every row of a tensor.
  template <class Visit>
  void for_each_row(int tokens, const Visit& visit) const {
    for (int n = 0; n < shape.batch; ++n) {
      for (int token = 0; token < tokens; ++token) {
        for (int head = 0; head < shape.heads; ++head) visit(n, token, head);
      }
    }
  }

 private:
  static T unwritten() { return device::from_float<T>(std::numeric_limits<float>::quiet_NaN()); }

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
double equal_scores_error(Problem<T> problem, float size, const Run& run) {
  const AttentionShape& shape = problem.shape;
  problem.fill(1, 1);
  for (auto* tensor : {&problem.q, &problem.k})
    for (T& x : tensor->storage) x = device::from_float<T>(size);
  problem.for_each_row(shape.keys, [&](int n, int key, int head) {
    for (int i = 0; i < shape.head_dim; ++i)
      problem.v.at(n, key, head, i) = device::from_float<T>(2 * key < shape.keys ? 0.0F : 1.0F);
  });
  if (!run(problem).faults.empty()) return std::numeric_limits<double>::infinity();
  return problem.worst_error();
}

/// Makes every element of the queries 1, of key `one` `value`, and of the other keys -inf.
template <class T>
void set_scores(Problem<T>& problem, int one, float value) {
  problem.fill(1, 1);
  const auto set_row = [&](Placed<T>& tensor, int n, int token, int head, float x) {
    for (int i = 0; i < problem.shape.head_dim; ++i) tensor.at(n, token, head, i) = device::from_float<T>(x);
  };
  problem.for_each_row(problem.shape.queries, [&](int n, int t, int h) { set_row(problem.q, n, t, h, 1); });
  problem.for_each_row(problem.shape.keys, [&](int n, int key, int h) {
    set_row(problem.k, n, key, h, key == one ? value : -std::numeric_limits<float>::infinity());
  });
}

/// Whether right(result, picture, head, i) is true of every element of the result; false where `run` finds a
/// fault.
template <class T, class Run, class Right>
bool all_of_result(Problem<T>& problem, const Run& run, const Right& right) {
  bool all = run(problem).faults.empty();
  problem.for_each_row(problem.shape.queries, [&](int n, int t, int h) {
    for (int i = 0; i < problem.shape.head_dim; ++i)
      all = all && right(to_float(problem.out.at(n, t, h, i)), n, h, i);
  });
  return all;
}

/// Whether scores that are not finite do what attention_params.h says. Beside the one of key `one` all are
/// -inf.
template <class T, class Run>
bool infinities_are_right(Problem<T> problem, int one, const Run& run) {
  set_scores(problem, one, 1);
  const bool looks_at_one = all_of_result(problem, run, [&](float result, int n, int h, int i) {
    return result == to_float(problem.v.at(n, one, h, i));
  });
  set_scores(problem, one, -std::numeric_limits<float>::infinity());
  const bool looks_at_nothing =
      all_of_result(problem, run, [](float result, int, int, int) { return result == 0; });
  bool spoiled = true;
  for (const float score :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    set_scores(problem, one, score);
    spoiled = spoiled &&
              all_of_result(problem, run, [](float result, int, int, int) { return std::isnan(result); });
  }
  return looks_at_one && looks_at_nothing && spoiled;
}

// Rounding the weights and the result costs at most one unit each, the exponentials of large scores a little
// more.
inline constexpr double kMostUnits = 3;

}  // namespace brume::kernels
