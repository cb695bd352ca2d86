#include <gtest/gtest.h>

#include <vector>

#include "tests/hopper_block.h"

// The host body of tensor copies and mbarriers: that they bring what the instructions do, and that it sees
// what a GPU would not forgive.
namespace brume::kernels::device {
namespace {

TEST(TensorCopy, BringsTheBoxSwizzledAndZerosOutside) {
  const Source source(13, 40);
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    const TensorMap map = source.map(16, swizzle);
    std::vector<float> got(static_cast<size_t>(map.rows * map.columns));
    EXPECT_EQ(fault_of(kOneGroup,
                       [&] {
                         start();
                         load(map);
                         mbarrier_wait(kBarrier, 0);
                         if (thread() != 0) return;
                         for (int i = 0; i < map.rows * map.columns; ++i)
                           got[static_cast<size_t>(i)] =
                               to_float(Shared<Half>(swizzled(2 * i, swizzle)).load());
                       }),
              "");
    for (int row = 0; row < map.rows; ++row) {
      for (int column = 0; column < map.columns; ++column)
        EXPECT_EQ(got[static_cast<size_t>(row * map.columns + column)], source.at(row, column));
    }
  }
}

TEST(TensorCopy, FaultsAreSeen) {
  const Source source(16, 64);
  const TensorMap map = source.map(16, Swizzle::k128);
  const auto fault = [&](const std::function<void()>& kernel) { return fault_of(kOneGroup, kernel); };
  const auto read = [] {
    if (thread() == 0) Shared<Half>(0).load();
  };
  // Read without a wait, with the wrong parity, and by one who left the waiting to others.
  expect_fault(fault([&] { start(), load(map), read(); }), "on its way");
  expect_fault(fault([&] { start(), load(map), mbarrier_wait(kBarrier, 1), read(); }), "on its way");
  expect_fault(fault([&] {
                 start(), load(map);
                 if (thread() == 5) mbarrier_wait(kBarrier, 0);
                 if (thread() == 70) Shared<Half>(0).load();
               }),
               "race: thread 70 reads what a tensor copy of mbarrier 0 wrote");
  // The phase after the first never ends.
  expect_fault(fault([&] { start(), load(map), mbarrier_wait(kBarrier, 0), mbarrier_wait(kBarrier, 1); }),
               "deadlock: 128 threads at an mbarrier");
  // Bytes that never come, arrivals that nobody counts, nothing announced.
  expect_fault(fault([&] {
                 start();
                 if (thread() == 0) mbarrier_arrive_expect(kBarrier, 64);
                 mbarrier_wait(kBarrier, 0);
               }),
               "deadlock");
  expect_fault(fault([&] {
                 start();
                 if (thread() == 0) copy_tile_async(Bytes(0), map, {0, 0, 0, 0}, kBarrier);
                 if (thread() == 0) mbarrier_arrive(kBarrier);
                 mbarrier_wait(kBarrier, 0);
                 if (thread() == 0) mbarrier_arrive_expect(kBarrier, map.bytes());
                 mbarrier_wait(kBarrier, 1);
               }),
               "deadlock");
  // Initialisation that is not fenced, or that others do not know of.
  expect_fault(fault([&] {
                 if (thread() == 0) mbarrier_init(kBarrier, 1);
                 block_barrier();
                 load(map);
               }),
               "did not fence");
  expect_fault(fault([&] {
                 if (thread() == 0) mbarrier_init(kBarrier, 1);
                 if (thread() == 40) mbarrier_arrive(kBarrier);
               }),
               "race: an mbarrier");
  expect_fault(fault([&] { start(), load(map, 128); }), "no swizzle pattern begins");
}

TEST(TensorCopy, AStageUsedAgainTooEarlyIsSeen) {
  const Source source(16, 64);
  const TensorMap map = source.map(16, Swizzle::k128);
  // Thread 32 reads what thread 0 loads, and says so by the other barrier; thread 0 then loads again.
  enum class Release { kInTime, kEarly, kUnheard };
  const auto use_twice = [&](Release release) {
    return fault_of(kOneGroup, [&, release] {
      start();
      load(map);
      if (thread() == 32) {
        mbarrier_wait(kBarrier, 0);
        if (release == Release::kEarly) mbarrier_arrive(kOther);
        Shared<Half>(0).load();
        if (release != Release::kEarly) mbarrier_arrive(kOther);
      }
      if (thread() == 0 && release != Release::kUnheard) mbarrier_wait(kOther, 0);
      if (thread() == 0 && release == Release::kUnheard) mbarrier_wait(kBarrier, 0);
      load(map);
    });
  };
  EXPECT_EQ(use_twice(Release::kInTime), "");
  expect_fault(use_twice(Release::kEarly), "race");
  expect_fault(use_twice(Release::kUnheard), "on its way");
}

TEST(NamedBarrier, WhoComesWithoutWaitingTellsAndHearsNothing) {
  const Shared<float> floats(0);
  const auto exchange = [&](int waiting) {
    return fault_of({.threads = 64, .shared_bytes = 512}, [&, waiting] {
      (floats + thread()).store(1);
      if (warp() == waiting) named_barrier(1, 64);
      if (warp() != waiting) named_arrive(1, 64);
      if (warp() == 0) (floats + (63 - thread())).load();
    });
  };
  EXPECT_EQ(exchange(0), "");
  EXPECT_NE(exchange(1), "");
}

TEST(TensorCopy, StoresBeforeItNeedAFence) {
  const Source source(16, 64);
  const TensorMap map = source.map(16, Swizzle::k128);
  const auto overwrite = [&](bool fenced) {
    return fault_of(kOneGroup, [&, fenced] {
      if (thread() == 1) {
        Shared<Half>(0).store({});
        if (fenced) fence_async_proxy();
      }
      start();
      load(map);
    });
  };
  expect_fault(overwrite(false), "did not fence for the asynchronous proxy");
  EXPECT_EQ(overwrite(true), "");
}

TEST(TensorCopy, AMapMustBeWhatTheDriverAccepts) {
  // [picture, row, head, column] = [2, 16, 4, 64], packed.
  alignas(16) static const std::array<Half, 8> values{};
  const TensorMap packed{values.data(), {64, 4, 16, 2}, {128, 512, 8192}, 64, 16, Swizzle::k128};
  EXPECT_EQ(host::fault_of_map(packed), "");
  const auto with = [&](const auto& change) {
    TensorMap map = packed;
    change(map);
    return host::fault_of_map(map);
  };
  // Packed together with others, and with room between the heads.
  EXPECT_EQ(with([](TensorMap& map) { map.strides[1] = 3 * 512, map.strides[2] = 3 * 8192; }), "");
  EXPECT_EQ(with([](TensorMap& map) { map.strides[0] = 144, map.strides[1] = 576, map.strides[2] = 9216; }),
            "");
  expect_fault(with([](TensorMap& map) { map.strides[0] = 136; }), "136 bytes, which is no multiple of 16");
  expect_fault(with([](TensorMap& map) { map.strides[2] = int64_t{1} << 40; }), "too far");
  expect_fault(with([](TensorMap& map) { map.strides[1] = 528; }),
               "528 bytes, which is no multiple of the one");
  // Rows that overlap, rows whose heads do, and the same picture twice.
  expect_fault(with([](TensorMap& map) { map.strides[0] = 112; }),
               "112 bytes, which is less than what it steps");
  expect_fault(with([](TensorMap& map) { map.strides[1] = 384; }),
               "384 bytes, which is less than what it steps");
  expect_fault(with([](TensorMap& map) { map.strides[2] = 0; }), "0 bytes, which is less than what it steps");
  expect_fault(with([](TensorMap& map) { map.sizes[3] = 0; }), "a size of 0");
  expect_fault(with([](TensorMap& map) { map.sizes[2] = (int64_t{1} << 32) + 1; }), "a size of");
  expect_fault(with([](TensorMap& map) { map.rows = 257; }), "a box of 257 rows");
  // A copy looks at it too.
  const Source source(16, 64);
  TensorMap map = source.map(16, Swizzle::k128);
  map.strides[1] += 8;
  expect_fault(fault_of(kOneGroup, [&] { start(), load(map); }), "no multiple of 16");
}

TEST(TensorCopy, WhatItReadsMustBeOrderedToo) {
  Source source(16, 64);
  const TensorMap map = source.map(16, Swizzle::k128);
  enum class Write { kBefore, kUnheard, kOnItsWay, kAfterTheWait, kBesideTheBox };
  const auto write = [&](Write when) {
    return fault_of(kOneGroup, [&, when] {
      const auto store = [&](int element) {
        if (thread() == 40) store_global(&source.values[static_cast<size_t>(element)], Half{});
      };
      if (when == Write::kBefore) store(64);
      start();
      if (when == Write::kUnheard) store(64);
      load(map);
      if (when == Write::kOnItsWay) block_barrier(), store(64);
      mbarrier_wait(kBarrier, 0);
      if (when == Write::kAfterTheWait) store(64);
      if (when == Write::kBesideTheBox) store(map.rows * map.columns);
    });
  };
  EXPECT_EQ(write(Write::kBefore), "");
  EXPECT_EQ(write(Write::kAfterTheWait), "");
  EXPECT_EQ(write(Write::kBesideTheBox), "");
  expect_fault(write(Write::kOnItsWay),
               "thread 40 of block 0,0,0 writes what a tensor copy of mbarrier 0 of block 0,0,0 read");
  expect_fault(write(Write::kUnheard), "race: thread 40");
}

}  // namespace
}  // namespace brume::kernels::device
