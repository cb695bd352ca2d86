#pragma once
// The PTX body of the vocabulary (PTX ISA 9.0; section numbers of that manual). Included by device.h alone.
#include "kernels/device/number.h"

namespace brume::kernels::device {

// Who am I.
BRUME_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
BRUME_DEVICE int lane() { return static_cast<int>(threadIdx.x) & 31; }
BRUME_DEVICE int warp() { return static_cast<int>(threadIdx.x) >> 5; }
BRUME_DEVICE int threads() { return static_cast<int>(blockDim.x); }
BRUME_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
BRUME_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
BRUME_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
BRUME_DEVICE int blocks_x() { return static_cast<int>(gridDim.x); }

// Numbers.
BRUME_DEVICE float to_float(Half x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

template <class T>
BRUME_DEVICE T from_float(float x);
template <>
BRUME_DEVICE float from_float<float>(float x) {
  return x;
}
template <>
BRUME_DEVICE Half from_float<Half>(float x) {
  Half y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
BRUME_DEVICE Bfloat16 from_float<Bfloat16>(float x) {
  Bfloat16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

/// Two numbers in one register, `low` in its lower half.
template <class T>
BRUME_DEVICE uint32_t pack(float low, float high);
template <>
BRUME_DEVICE uint32_t pack<Half>(float low, float high) {
  uint32_t y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
template <>
BRUME_DEVICE uint32_t pack<Bfloat16>(float low, float high) {
  uint32_t y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

BRUME_DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
BRUME_DEVICE float reciprocal_fast(float x) { return __fdividef(1.0F, x); }
BRUME_DEVICE float reciprocal_root(float x) { return rsqrtf(x); }
BRUME_DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
BRUME_DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
BRUME_DEVICE float error_function(float x) { return erff(x); }
BRUME_DEVICE float exponential(float x) { return expf(x); }
/// Of |x| up to pi, within 2^-20.
BRUME_DEVICE float sine_fast(float x) { return __sinf(x); }
BRUME_DEVICE float cosine_fast(float x) { return __cosf(x); }
BRUME_DEVICE float nearest_integer(float x) { return rintf(x); }
BRUME_DEVICE float infinity() { return __int_as_float(0x7f800000); }

// Global memory.
template <class V, class T>
BRUME_DEVICE V load_global(const T* from) {
  return *reinterpret_cast<const V*>(from);
}
template <class V, class T>
BRUME_DEVICE void store_global(T* to, const V& value) {
  *reinterpret_cast<V*>(to) = value;
}

/// Asks for what will be read, and waits for nothing.
template <class T>
BRUME_DEVICE void prefetch_global(const T* from) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
}

/// A place in the block's shared memory.
template <class T>
class Shared {
 public:
  BRUME_DEVICE explicit Shared(T* place) : place_(place) {}
  BRUME_DEVICE Shared operator+(int elements) const { return Shared(place_ + elements); }
  template <class U>
  BRUME_DEVICE Shared<U> as() const {
    return Shared<U>(reinterpret_cast<U*>(place_));
  }
  BRUME_DEVICE T load() const { return *place_; }
  BRUME_DEVICE void store(const T& value) const { *place_ = value; }
  BRUME_DEVICE uint32_t address() const { return static_cast<uint32_t>(__cvta_generic_to_shared(place_)); }

 private:
  T* place_;
};

/// The block's dynamic shared memory, aligned to 128 bytes.
BRUME_DEVICE Shared<unsigned char> shared_memory() {
  extern __shared__ __align__(128) unsigned char bytes[];
  return Shared<unsigned char>(bytes);
}

// Meeting points.
BRUME_DEVICE void block_barrier() { __syncthreads(); }
BRUME_DEVICE void warp_barrier() { __syncwarp(); }
/// Barrier `id` of 1 to 15 for `count` threads, a multiple of 32 (9.7.13.1, bar.sync).
BRUME_DEVICE void named_barrier(int id, int count) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(count) : "memory");
}

template <class T>
BRUME_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}
template <class T>
BRUME_DEVICE T shuffle(T value, int from) {
  return __shfl_sync(0xffffffffU, value, from);
}

// Asynchronous copies (9.7.9.25, cp.async): visible to the copying thread after its wait, to others after a
// barrier.
/// 16 bytes, of which the first `valid` come from `from` and the rest are zero. `from` must be readable even
/// where `valid` is 0.
template <class T>
BRUME_DEVICE void copy_async_16(Shared<T> to, const T* from, int valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to.address()), "l"(from), "r"(valid)
               : "memory");
}
BRUME_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `kPending` of the newest groups are on their way.
template <int kPending>
BRUME_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Matrices (9.7.14). Fragment layouts: fragment.h.
/// Four 8x8 matrices of 16-bit numbers; lane i names row i % 8 of matrix i / 8 (9.7.14.5.15, ldmatrix).
template <class T>
BRUME_DEVICE void load_matrices_4(uint32_t (&to)[4], Shared<T> row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row.address())
               : "memory");
}
/// As load_matrices_4, each matrix transposed.
template <class T>
BRUME_DEVICE void load_matrices_4_transposed(uint32_t (&to)[4], Shared<T> row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row.address())
               : "memory");
}
/// Two matrices, each transposed, of which lanes 0 to 15 name the rows.
template <class T>
BRUME_DEVICE void load_matrices_2_transposed(uint32_t (&to)[2], Shared<T> row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(row.address())
               : "memory");
}

/// d += a b: a [16, 16], b [16, 8], d [16, 8] in fp32 (9.7.14.5.8, mma.m16n8k16).
template <class T>
BRUME_DEVICE void multiply_16_8_16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
BRUME_DEVICE void multiply_16_8_16<Half>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
BRUME_DEVICE void multiply_16_8_16<Bfloat16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// A barrier among all blocks of a group through a counter in global memory. Every block must be resident.
BRUME_DEVICE void global_arrive(unsigned* counter) {
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}
BRUME_DEVICE void global_wait(const unsigned* counter, unsigned until) {
  unsigned seen;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
  } while (seen < until);
}

}  // namespace brume::kernels::device
