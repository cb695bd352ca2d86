#pragma once

namespace brume::kernels {

/// What a kernel may take of a multiprocessor, written beside each kernel and derived from what it needs to
/// keep the machine busy (README.md). The test of the machine code holds ptxas' report to it.
struct KernelBudget {
  int threads;       // of a block, at most
  int blocks;        // that a multiprocessor must have the registers for
  int shared_bytes;  // of a block, at most, all of it asked for at the launch

  /// Of a thread, at most: of a multiprocessor's 65,536 a warp gets whole units of 256.
  constexpr int registers() const {
    constexpr int kEach = 65536;
    constexpr int kUnit = 8;
    constexpr int kMost = 255;
    const int share = kEach / (threads * blocks) / kUnit * kUnit;
    return share < kMost ? share : kMost;
  }
};

/// Of a block on every GPU from sm_80 on, and on sm_90: the opt-in's limits.
inline constexpr int kSharedBytesAnywhere = 99 << 10;
inline constexpr int kSharedBytesOfHopper = 227 << 10;
/// What a launch gets without asking for more.
inline constexpr int kSharedBytesUnasked = 48 << 10;

}  // namespace brume::kernels
