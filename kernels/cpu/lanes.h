#pragma once
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// The vocabulary of the CPU's kernels: a vector register of floats and what can be done with it. This file is
// compiled once for each instruction set (machines.h), always inside an unnamed namespace, and includes
// nothing that another translation unit could share code with: a function compiled for AVX-512 must never be
// linked into the rest.

#if defined(__AVX512F__)
#define BRUME_LANES 16
#elif defined(__AVX2__)
#define BRUME_LANES 8
#else
#define BRUME_LANES 4
#endif

namespace brume::kernels::cpu {
namespace {

constexpr int64_t kLanes = BRUME_LANES;
/// Rows of a register tile of three vectors, so that accumulators and operands fill 32 registers, or 16.
constexpr int kTileRows = BRUME_LANES == 16 ? 8 : 4;
constexpr int kTileVectors = 3;

using Floats = float __attribute__((vector_size(4 * BRUME_LANES)));
using Ints = int32_t __attribute__((vector_size(4 * BRUME_LANES)));
using Words = uint32_t __attribute__((vector_size(4 * BRUME_LANES), may_alias));  // pairs of bfloat16, too
using Halves = uint16_t __attribute__((vector_size(2 * BRUME_LANES)));

/// A bfloat16 by its bits.
struct Bf16 {
  uint16_t bits;
};

#define BRUME_INLINE inline __attribute__((always_inline))

BRUME_INLINE Floats all(float x) { return Floats{} + x; }
BRUME_INLINE Words bits_of(Floats x) { return reinterpret_cast<Words>(x); }
BRUME_INLINE Floats floats_of(Words x) { return reinterpret_cast<Floats>(x); }
BRUME_INLINE float float_of(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
BRUME_INLINE float float_of(float x) { return x; }

BRUME_INLINE Floats load(const float* from) {
  Floats x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
BRUME_INLINE Floats load(const Bf16* from) {
  Halves x;
  std::memcpy(&x, from, sizeof x);
  return floats_of(__builtin_convertvector(x, Words) << 16);
}
BRUME_INLINE void store(Floats x, float* to) { std::memcpy(to, &x, sizeof x); }

/// The nearest bfloat16, ties to even, in the upper half of each lane; a NaN stays one.
BRUME_INLINE Words rounded(Floats x) {
  const Words bits = bits_of(x);
  const Words nearest = bits + 0x7FFF + ((bits >> 16) & 1);
  return x == x ? nearest : (bits | 0x00400000);
}
BRUME_INLINE void store(Floats x, Bf16* to) {
#if defined(__AVX512BF16__)
  const __m256bh halves = _mm512_cvtneps_pbh(x);
#else
  const Halves halves = __builtin_convertvector(rounded(x) >> 16, Halves);
#endif
  std::memcpy(to, &halves, sizeof halves);
}
/// The first `count` lanes alone; the others read as zero.
template <class T>
BRUME_INLINE Floats load_some(const T* from, int64_t count) {
  T part[kLanes] = {};
  std::memcpy(part, from, static_cast<size_t>(count) * sizeof(T));
  return load(part);
}
template <class T>
BRUME_INLINE void store_some(Floats x, T* to, int64_t count) {
  T part[kLanes];
  store(x, part);
  std::memcpy(to, part, static_cast<size_t>(count) * sizeof(T));
}

/// The first `count` lanes; the others become zero.
BRUME_INLINE Floats first_lanes(Floats x, int64_t count) {
  if (count == kLanes) return x;
  float lanes[kLanes] = {};
  std::memcpy(lanes, &x, static_cast<size_t>(count) * sizeof(float));
  return load(lanes);
}

/// The greater one; a NaN of the second stays.
BRUME_INLINE Floats greater(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

/// Whether a lane of the first is greater than the second's.
BRUME_INLINE bool any_greater(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(reinterpret_cast<Floats>(a > b)) != 0;
#else
  const Ints greater = a > b;
  int32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) any |= greater[lane];
  return any != 0;
#endif
}

/// The upper right block of kSize lanes against the lower left one.
template <int kSize, int... kLane>
BRUME_INLINE void exchange(Words& upper, Words& lower, std::integer_sequence<int, kLane...> /*lanes*/) {
  constexpr int kOther = static_cast<int>(kLanes);
  const Words above =
      __builtin_shufflevector(upper, lower, ((kLane & kSize) == 0 ? kLane : kLane - kSize + kOther)...);
  lower = __builtin_shufflevector(upper, lower, ((kLane & kSize) == 0 ? kLane + kSize : kLane + kOther)...);
  upper = above;
}

/// x[i][j] <-> x[j][i], by exchanging ever smaller blocks.
template <int kSize = BRUME_LANES / 2>
BRUME_INLINE void transpose(Words (&x)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kSize) == 0) exchange<kSize>(x[i], x[i + kSize], std::make_integer_sequence<int, BRUME_LANES>{});
  }
  if constexpr (kSize > 1) transpose<kSize / 2>(x);
}

BRUME_INLINE float sum_of(Floats x) {
  float lanes[kLanes];
  store(x, lanes);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

/// How exactly an exponential is wanted: to two units in the last place, or for what a bfloat16 keeps.
enum class Exactness { kFloat, kBf16 };

/// 2^x for x of at most 127; zero, or as small as that, below -126.
template <Exactness kExactness = Exactness::kFloat>
BRUME_INLINE Floats exp2_of(Floats x) {
  x = greater(all(-127.0F), x);
#if defined(__AVX512F__)
  const Floats whole = _mm512_roundscale_ps(x, 0);
#else
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats whole = (x + kRound) - kRound;
#endif
  const Floats f = x - whole;  // [-0.5, 0.5]
  // Polynomials of the least relative error: 1e-7, and 4e-6.
  Floats p;
  if constexpr (kExactness == Exactness::kFloat) {
    p = all(1.5353362e-4F);
    p = p * f + 1.3398874e-3F;
    p = p * f + 9.6184370e-3F;
    p = p * f + 5.5503324e-2F;
    p = p * f + 2.4022648e-1F;
    p = p * f + 6.9314720e-1F;
    p = p * f + 1.0F;
  } else {
    p = all(9.5700943e-3F);
    p = p * f + 5.5917863e-2F;
    p = p * f + 2.4024745e-1F;
    p = p * f + 6.9312181e-1F;
    p = p * f + 1.0F;
  }
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p, whole);
#else
  const Words exponent = reinterpret_cast<Words>(__builtin_convertvector(whole, Ints) + 127) << 23;
  return p * floats_of(exponent);
#endif
}
BRUME_INLINE Floats exp_of(Floats x) {
  constexpr float kLog2E = 1.44269504F;
  const Floats high = all(126.0F);
  const Floats y = x * kLog2E;
  return exp2_of(y > high ? high : y);
}

}  // namespace
}  // namespace brume::kernels::cpu
