#pragma once
// The host body of the vocabulary. Included by device.h alone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/device/fragment.h"
#include "kernels/device/host/grid.h"
#include "kernels/device/number.h"

namespace brume::kernels::device {

// Who am I.
inline int thread() { return host::current().index; }
inline int lane() { return host::current().lane(); }
inline int warp() { return host::current().warp(); }
inline int threads() { return host::current().block->launch().threads; }
inline int block_x() { return host::current().block->place()[0]; }
inline int block_y() { return host::current().block->place()[1]; }
inline int block_z() { return host::current().block->place()[2]; }
inline int blocks_x() { return host::current().block->launch().x; }

// Numbers.
float to_float(Half x);

template <class T>
T from_float(float x);
template <>
inline float from_float<float>(float x) {
  return x;
}
template <>
Half from_float<Half>(float x);
template <>
Bfloat16 from_float<Bfloat16>(float x);

template <class T>
uint32_t pack(float low, float high) {
  return static_cast<uint32_t>(from_float<T>(low).bits) | static_cast<uint32_t>(from_float<T>(high).bits)
                                                              << 16;
}

inline float exp2_fast(float x) { return std::exp2(x); }
inline float reciprocal_fast(float x) { return 1.0F / x; }
inline float reciprocal_root(float x) { return 1.0F / std::sqrt(x); }
/// As the instruction: a number wins over what is none.
inline float maximum(float a, float b) { return std::fmax(a, b); }
inline float multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
inline float error_function(float x) { return std::erf(x); }
inline float exponential(float x) { return std::exp(x); }
inline float sine_fast(float x) { return std::sin(x); }
inline float cosine_fast(float x) { return std::cos(x); }
inline float nearest_integer(float x) { return std::nearbyint(x); }
inline float infinity() { return std::numeric_limits<float>::infinity(); }

namespace host {

/// Ends the running thread where it stands if there is a fault.
void stop_at(const std::string& fault);

/// Stops the running thread if its access races with another's.
void touch_global(Access access, const void* place, int bytes);
template <class V>
void touch_global(Access access, const void* place) {
  if (reinterpret_cast<uintptr_t>(place) % alignof(V) != 0)
    stop_at("access of " + std::to_string(sizeof(V)) + " bytes of global memory that is not aligned");
  touch_global(access, place, sizeof(V));
}

}  // namespace host

// Global memory.
template <class V, class T>
V load_global(const T* from) {
  host::touch_global<V>(host::Access::kRead, from);
  V value;
  memcpy(&value, from, sizeof(V));
  return value;
}
template <class V, class T>
void store_global(T* to, const V& value) {
  host::touch_global<V>(host::Access::kWrite, to);
  memcpy(to, &value, sizeof(V));
}

template <class T>
void prefetch_global(const T* /*from*/) {}

template <class T>
class Shared {
 public:
  explicit Shared(int offset) : offset_(offset) {}
  Shared operator+(int elements) const { return Shared(offset_ + elements * static_cast<int>(sizeof(T))); }
  template <class U>
  Shared<U> as() const {
    return Shared<U>(offset_);
  }
  T load() const {
    host::Thread& thread = host::current();
    thread.block->count_access(thread, false, offset_, sizeof(T));
    T value;
    host::stop_at(thread.block->shared().read(thread.index, thread.clock, offset_, sizeof(T), &value));
    return value;
  }
  void store(const T& value) const {
    host::Thread& thread = host::current();
    thread.block->count_access(thread, true, offset_, sizeof(T));
    host::stop_at(thread.block->shared().write(thread.index, thread.clock, offset_, sizeof(T), &value));
  }
  int offset() const { return offset_; }

 private:
  int offset_;
};

inline Shared<unsigned char> shared_memory() { return Shared<unsigned char>(0); }

// Meeting points.
inline void block_barrier() { host::current().block->meet(host::current(), 0, threads()); }
void warp_barrier();
inline void named_barrier(int id, int count) { host::current().block->meet(host::current(), id, count); }

template <class T>
T shuffle(T value, int from) {
  struct Operand {
    T value;
    int from;
    T result;
  } own{value, from, {}};
  host::Thread& thread = host::current();
  thread.block->meet_in_warp(thread, "shuffle", &own, [](const host::Operands& operands) {
    for (void* operand : operands) {
      auto& one = *static_cast<Operand*>(operand);
      one.result = static_cast<Operand*>(operands[static_cast<size_t>(one.from & 31)])->value;
    }
  });
  return own.result;
}
template <class T>
T shuffle_xor(T value, int mask) {
  return shuffle(value, lane() ^ mask);
}

// Asynchronous copies.
namespace host {
void copy_async(int to, const void* from, int valid);
void copy_wait(int pending);
enum class Transpose { kNo, kYes };
void load_matrices(uint32_t* to, int count, int row_offset, Transpose transpose);
template <class T>
void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
}  // namespace host

template <class T>
void copy_async_16(Shared<T> to, const T* from, int valid) {
  host::copy_async(to.offset(), from, valid);
}
inline void copy_async_commit() { host::current().groups.emplace_back(); }
template <int kPending>
void copy_async_wait() {
  host::copy_wait(kPending);
}

// Matrices.
template <class T>
void load_matrices_4(uint32_t (&to)[4], Shared<T> row) {
  host::load_matrices(to, 4, row.offset(), host::Transpose::kNo);
}
template <class T>
void load_matrices_4_transposed(uint32_t (&to)[4], Shared<T> row) {
  host::load_matrices(to, 4, row.offset(), host::Transpose::kYes);
}
template <class T>
void load_matrices_2_transposed(uint32_t (&to)[2], Shared<T> row) {
  host::load_matrices(to, 2, row.offset(), host::Transpose::kYes);
}
template <class T>
void multiply_16_8_16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  host::multiply<T>(d, a, b);
}

// A barrier among blocks.
void global_arrive(unsigned* counter);
void global_wait(const unsigned* counter, unsigned until);

}  // namespace brume::kernels::device
