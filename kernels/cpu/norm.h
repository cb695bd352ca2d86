#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/machines.h"

namespace brume::kernels::cpu {
namespace {

// Norms: each reads its numbers as floats, once, and writes them once.

template <class T>
void channel_sums(const MapPart& part, const ChannelSums& to) {
  const auto* x = static_cast<const T*>(part.x);
  for (int64_t c = 0; c < part.channels; ++c) {
    to.shift[c] = float_of(x[c]);
    to.sum[c] = 0;
    to.squares[c] = 0;
  }
  for (int64_t p = 1; p < part.pixels; ++p) {
    const T* row = x + p * part.stride;
    int64_t c = 0;
    for (; c + kLanes <= part.channels; c += kLanes) {
      const Floats d = load(row + c) - load(to.shift + c);
      store(load(to.sum + c) + d, to.sum + c);
      store(load(to.squares + c) + d * d, to.squares + c);
    }
    for (; c < part.channels; ++c) {
      const float d = float_of(row[c]) - to.shift[c];
      to.sum[c] += d;
      to.squares[c] += d * d;
    }
  }
}

BRUME_INLINE Floats silu_of(Floats x) { return x / (1.0F + exp_of(-x)); }

/// Calls f(column, lanes) over a row: whole vectors, then what is left.
template <class F>
BRUME_INLINE void each_vector(int64_t width, const F& f) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) f(c, kLanes);
  if (c < width) f(c, width - c);
}

template <class T>
BRUME_INLINE Floats load_at(const T* row, int64_t c, int64_t lanes) {
  return lanes == kLanes ? load(row + c) : load_some(row + c, lanes);
}
template <class T>
BRUME_INLINE void store_at(Floats x, T* row, int64_t c, int64_t lanes) {
  if (lanes == kLanes)
    store(x, row + c);
  else
    store_some(x, row + c, lanes);
}

template <class T, bool kSilu>
void scale_and_shift_rows(const MapPart& part, const float* scale, const float* shift, T* out,
                          int64_t out_stride) {
  for (int64_t p = 0; p < part.pixels; ++p) {
    const T* row = static_cast<const T*>(part.x) + p * part.stride;
    T* to = out + p * out_stride;
    each_vector(part.channels, [&](int64_t c, int64_t lanes) {
      const Floats y = load_at(row, c, lanes) * load_at(scale, c, lanes) + load_at(shift, c, lanes);
      store_at(kSilu ? silu_of(y) : y, to, c, lanes);
    });
  }
}

template <class T>
void scale_and_shift(const MapPart& part, const float* scale, const float* shift, bool silu, void* out,
                     int64_t out_stride) {
  auto* to = static_cast<T*>(out);
  if (silu)
    scale_and_shift_rows<T, true>(part, scale, shift, to, out_stride);
  else
    scale_and_shift_rows<T, false>(part, scale, shift, to, out_stride);
}

template <class T>
void layer_norm(const LayerNormRows& rows) {
  const int64_t width = rows.width;
  const auto count = static_cast<float>(width);
  for (int64_t r = 0; r < rows.rows; ++r) {
    const T* x = static_cast<const T*>(rows.x) + r * width;
    Floats total{};
    each_vector(width, [&](int64_t c, int64_t lanes) { total += load_at(x, c, lanes); });
    const float mean = sum_of(total) / count;
    Floats squares{};
    each_vector(width, [&](int64_t c, int64_t lanes) {
      const Floats d = first_lanes(load_at(x, c, lanes) - mean, lanes);
      squares += d * d;
    });
    const float variance = sum_of(squares) / count;
    const float scale = 1.0F / __builtin_sqrtf(variance + rows.eps);
    T* out = static_cast<T*>(rows.out) + r * width;
    each_vector(width, [&](int64_t c, int64_t lanes) {
      const Floats normal = (load_at(x, c, lanes) - mean) * scale;
      store_at(normal * load_at(rows.weight, c, lanes) + load_at(rows.bias, c, lanes), out, c, lanes);
    });
  }
}

}  // namespace
}  // namespace brume::kernels::cpu
