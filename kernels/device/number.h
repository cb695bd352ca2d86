#pragma once
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define BRUME_DEVICE __device__ __forceinline__
#define BRUME_HOST_DEVICE __host__ __device__ __forceinline__
#define BRUME_UNROLL _Pragma("unroll")
#else
#define BRUME_DEVICE inline
#define BRUME_HOST_DEVICE inline
#define BRUME_UNROLL
#endif

namespace brume::kernels::device {

/// IEEE binary16, as bits.
struct Half {
  uint16_t bits;
};

/// The upper half of an IEEE binary32.
struct Bfloat16 {
  uint16_t bits;
};

/// `kSize` neighbours that are loaded and stored as one access.
template <class T, int kSize>
struct alignas(sizeof(T) * kSize) Vector {
  T values[kSize];
  static constexpr int size = kSize;
  BRUME_HOST_DEVICE T& operator[](int i) { return values[i]; }
  BRUME_HOST_DEVICE const T& operator[](int i) const { return values[i]; }
};

/// The same bits as another type of the same size.
template <class To, class From>
BRUME_HOST_DEVICE To bits_as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

BRUME_HOST_DEVICE float to_float(float x) { return x; }

BRUME_HOST_DEVICE float to_float(Bfloat16 x) { return bits_as<float>(static_cast<uint32_t>(x.bits) << 16); }

/// A value that is a type, for `if constexpr`.
template <auto kValue>
struct Constant {
  static constexpr auto value = kValue;
};

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

}  // namespace brume::kernels::device
