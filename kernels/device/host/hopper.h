#pragma once
// The host body of hopper.h, included by it alone. A tensor copy arrives only when its mbarrier is waited
// for, a product is computed only when it is waited for; until then its accumulator holds no number, and what
// it reads must stay.
#include "kernels/device/device.h"
#include "kernels/device/hopper_layout.h"

namespace brume::kernels::device {

using Mbarrier = Shared<uint64_t>;
using TensorMap = TensorTile;

namespace host {

void mbarrier_init(int place, int count);
void mbarrier_arrive(int place, int expected_bytes);
void mbarrier_wait(int place, int parity);
/// What the driver asks of a tensor map (CUDA driver API, cuTensorMapEncodeTiled) and this one is not, or "".
std::string fault_of_map(const TensorMap& map);
void copy_tile(int to, const TensorMap& map, const TilePlace& from, int place);

/// One thread's part of a product of its warp group.
struct GroupProduct {
  float* d;
  const uint32_t* a_registers;  // null: the left factor is in shared memory
  uint64_t a;
  uint64_t b;
  int columns;
  bool accumulate;
  float (*number)(uint16_t bits);  // of an element
};
void group_multiply(const GroupProduct& product);
void group_wait(int pending, const float* ready);
void group_mark(bool fence);

template <class T>
float number_of(uint16_t bits) {
  return to_float(T{bits});
}

}  // namespace host

// Who am I.
inline int warp_group() { return warp() / 4; }
bool elected();
template <int kCount>
void fewer_registers() {}
template <int kCount>
void more_registers() {}
inline Shared<unsigned char> swizzled_shared_memory() { return Shared<unsigned char>(0); }
inline void named_arrive(int id, int count) { host::current().block->arrive(host::current(), id, count); }

// Barriers in shared memory, and copies that complete them.
inline void mbarrier_init(Mbarrier barrier, int count) { host::mbarrier_init(barrier.offset(), count); }
inline void mbarrier_arrive(Mbarrier barrier) { host::mbarrier_arrive(barrier.offset(), 0); }
inline void mbarrier_arrive_expect(Mbarrier barrier, int bytes) {
  host::mbarrier_arrive(barrier.offset(), bytes);
}
inline void mbarrier_wait(Mbarrier barrier, int parity) { host::mbarrier_wait(barrier.offset(), parity); }
inline void fence_async_proxy() {
  host::Thread& thread = host::current();
  thread.block->shared().fence(thread.index, thread.clock);
}
inline void copy_tile_async(Shared<unsigned char> to, const TensorMap& map, const TilePlace& from,
                            Mbarrier barrier) {
  host::copy_tile(to.offset(), map, from, barrier.offset());
}

// Products of a warp group.
inline uint64_t describe_matrix(Shared<unsigned char> at, int leading, int stride, Swizzle swizzle) {
  return matrix_descriptor({at.offset(), leading, stride, swizzle});
}
template <class T, int kColumns>
void group_multiply(float (&d)[kColumns / 2], uint64_t a, uint64_t b, int accumulate) {
  host::group_multiply({d, nullptr, a, b, kColumns, accumulate != 0, host::number_of<T>});
}
template <class T, int kColumns>
void group_multiply(float (&d)[kColumns / 2], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  host::group_multiply({d, a, 0, b, kColumns, accumulate != 0, host::number_of<T>});
}
inline void group_fence() { host::group_mark(true); }
inline void group_commit() { host::group_mark(false); }
template <class T>
void pin_registers(T&) {}
template <int kPending, int kCount>
void group_wait(float (&ready)[kCount]) {
  host::group_wait(kPending, ready);
}

}  // namespace brume::kernels::device
