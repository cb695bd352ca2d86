#pragma once
// The PTX body of hopper.h (PTX ISA, sections by the names of their instructions), for sm_90a alone. Included
// by hopper.h alone.
#include "kernels/device/device.h"
#include "kernels/device/hopper_layout.h"
#include "kernels/device/hopper_ptx_products.h"

namespace brume::kernels::device {

// Who am I.
BRUME_DEVICE int warp_group() { return __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) >> 7, 0); }
/// True in one thread of the warp, all of whose threads ask (elect.sync).
BRUME_DEVICE bool elected() {
  uint32_t yes;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.b32 %0, 1, 0, p;\n}"
               : "=r"(yes)::"memory");
  return yes != 0;
}

/// Gives registers back, or takes those that others gave back: kCount for each thread of the warp group
/// (setmaxnreg).
template <int kCount>
BRUME_DEVICE void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
BRUME_DEVICE void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

/// The block's dynamic shared memory, aligned to the largest swizzle pattern.
BRUME_DEVICE Shared<unsigned char> swizzled_shared_memory() {
  extern __shared__ __align__(1024) unsigned char swizzled_bytes[];
  return Shared<unsigned char>(swizzled_bytes);
}

/// Comes to barrier `id` without waiting there (bar.arrive).
BRUME_DEVICE void named_arrive(int id, int count) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(count) : "memory");
}

// Barriers in shared memory (mbarrier). A phase ends when `count` threads have arrived and every
// byte that they announced has come.
using Mbarrier = Shared<uint64_t>;

BRUME_DEVICE void mbarrier_init(Mbarrier barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier.address()), "r"(count) : "memory");
}
BRUME_DEVICE void mbarrier_arrive(Mbarrier barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier.address()) : "memory");
}
/// Arrives, and announces bytes that copies will bring.
BRUME_DEVICE void mbarrier_arrive_expect(Mbarrier barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier.address()), "r"(bytes)
               : "memory");
}
/// Waits until the phase of this parity has ended: phases count 0, 1, 0, ...; the one before the first
/// counts as ended.
BRUME_DEVICE void mbarrier_wait(Mbarrier barrier, int parity) {
  asm volatile(
      "{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra DONE;\n"
      "bra AGAIN;\nDONE:\n}" ::"r"(barrier.address()),
      "r"(parity)
      : "memory");
}

/// Makes this thread's writes to shared memory, and its mbarriers, visible to copies and matrix products
/// (fence.proxy.async).
BRUME_DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// A TensorTile as the driver encodes it (CUtensorMap); lives among a kernel's parameters.
struct alignas(128) TensorMap {
  uint64_t words[16];
};

/// Orders the copy of one box; its bytes count for the barrier's phase (cp.async.bulk.tensor).
/// One thread calls it.
BRUME_DEVICE void copy_tile_async(Shared<unsigned char> to, const TensorMap& map, const TilePlace& from,
                                  Mbarrier barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3, %4, %5}], [%6];" ::"r"(to.address()),
      "l"(&map), "r"(from.column), "r"(from.head), "r"(from.row), "r"(from.picture), "r"(barrier.address())
      : "memory");
}

// Matrix products of a warp group (wgmma). d [64, N] and a left factor from registers are out of
// bounds from fence to wait; the factors in shared memory until the wait.
/// The bits that name a matrix to group_multiply.
BRUME_DEVICE uint64_t describe_matrix(Shared<unsigned char> at, int leading, int stride, Swizzle swizzle) {
  return matrix_descriptor({static_cast<int>(at.address()), leading, stride, swizzle});
}

/// Products may begin to read registers that were written before.
BRUME_DEVICE void group_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
BRUME_DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Keeps the compiler from moving what it does with the registers across this line: it does not know that a
/// product goes on after its instruction.
template <int kCount>
BRUME_DEVICE void pin_registers(float (&registers)[kCount]) {
  BRUME_UNROLL
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int kRows, int kCount>
BRUME_DEVICE void pin_registers(uint32_t (&registers)[kRows][kCount]) {
  BRUME_UNROLL
  for (int row = 0; row < kRows; ++row) {
    BRUME_UNROLL
    for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[row][i])::"memory");
  }
}

/// Waits until at most kPending of the newest committed groups are at work; `ready` is then complete.
template <int kPending, int kCount>
BRUME_DEVICE void group_wait(float (&ready)[kCount]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
  pin_registers(ready);
}

}  // namespace brume::kernels::device
