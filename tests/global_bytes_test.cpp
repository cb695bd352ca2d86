#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "kernels/device/device.h"

// The host body of global memory: tiny kernels that race through it, within a block and among blocks, and the
// same ones done right.
namespace brume::kernels::device {
namespace {

using host::Launch;
using host::Residency;

std::string fault_of(const Launch& launch, const std::function<void()>& kernel) {
  const host::Report report = host::run_grid(launch, kernel);
  return report.faults.empty() ? "" : report.faults.front();
}

void expect_fault(const std::string& fault, const std::string& part) {
  EXPECT_NE(fault.find(part), std::string::npos) << "wanted: " << part << "; got: " << fault;
}

template <class T>
struct Memory {
  alignas(16) std::array<T, 512> values = {};
  T* at(int i) { return values.data() + i; }
};

constexpr Launch kTwoWarps{.threads = 64, .shared_bytes = 1024};
constexpr Launch kTwoBlocks{.x = 2, .threads = 32};

TEST(GlobalMemory, WhatOneWroteAnotherReadsAfterABarrier) {
  Memory<float> memory;
  const auto exchange = [&](bool ordered) {
    return fault_of(kTwoWarps, [&, ordered] {
      store_global(memory.at(thread()), 1.0F);
      if (ordered) block_barrier();
      load_global<float>(memory.at(63 - thread()));
    });
  };
  // The first warp is done before the second begins.
  EXPECT_EQ(
      exchange(false),
      "block 0,0,0: thread 32: race: thread 32 of block 0,0,0 writes what thread 31 of block 0,0,0 read, "
      "with no barrier between, in global memory");
  EXPECT_EQ(exchange(true), "");
}

TEST(GlobalMemory, WhatOneReadAnotherWritesAfterABarrier) {
  Memory<float> memory;
  const auto overwrite = [&](bool ordered) {
    return fault_of(kTwoWarps, [&, ordered] {
      load_global<float>(memory.at(63 - thread()));
      if (ordered) block_barrier();
      store_global(memory.at(thread()), 2.0F);
    });
  };
  expect_fault(overwrite(false), "reads what thread 31 of block 0,0,0 wrote,");
  EXPECT_EQ(overwrite(true), "");
}

TEST(GlobalMemory, ABarrierOfAWarpOrdersItsOwnLanesAlone) {
  Memory<float> memory;
  const auto exchange = [&](int distance) {
    return fault_of(kTwoWarps, [&, distance] {
      store_global(memory.at(thread()), 1.0F);
      warp_barrier();
      load_global<float>(memory.at(thread() ^ distance));
    });
  };
  EXPECT_EQ(exchange(1), "");
  expect_fault(exchange(32), "race");
}

TEST(GlobalMemory, TwoWritersRace) {
  Memory<float> memory;
  expect_fault(fault_of(kTwoWarps, [&] { store_global(memory.at(0), 1.0F); }), "writes what thread 0");
  expect_fault(fault_of(kTwoBlocks, [&] { store_global(memory.at(lane()), 1.0F); }),
               "thread 0 of block 1,0,0 writes what thread 0 of block 0,0,0 wrote");
}

TEST(GlobalMemory, BlocksDoNotSeeWhatOthersWrote) {
  Memory<float> memory;
  for (const Residency residency : {Residency::kOneByOne, Residency::kTogether}) {
    Launch launch{.x = 2, .y = 2, .z = 2, .threads = 32};
    launch.residency = residency;
    expect_fault(fault_of(launch,
                          [&] {
                            if (block_z() == 0)
                              store_global(memory.at(block_y() * 64 + block_x() * 32 + lane()), 1.0F);
                            if (block_z() == 1) load_global<float>(memory.at(96));
                          }),
                 "race: thread");
  }
}

TEST(GlobalMemory, WhatIsNobodysElseAndWhatAllReadIsFree) {
  Memory<Half> memory;
  Memory<Half> shared;
  EXPECT_EQ(fault_of({.x = 4, .threads = 64},
                     [&] {
                       // Neighbours of two bytes, in place, and more readers than are kept.
                       Half* const own = memory.at(block_x() * 64 + thread());
                       for (int i = 0; i < 3; ++i) {
                         const Half x = load_global<Half>(own);
                         load_global<Vector<Half, 8>>(shared.at(8 * i));
                         store_global(own, x);
                       }
                     }),
            "");
}

TEST(GlobalMemory, AccessesThatOverlapInPartRace) {
  Memory<Half> memory;
  const auto overlap = [&](int element) {
    return fault_of(kTwoWarps, [&, element] {
      if (thread() == 0) store_global(memory.at(8), Vector<Half, 8>{});
      if (thread() == 40) load_global<Half>(memory.at(element));
    });
  };
  EXPECT_EQ(overlap(7), "");
  expect_fault(overlap(8), "thread 40 of block 0,0,0 reads what thread 0");
  expect_fault(overlap(15), "race");
  EXPECT_EQ(overlap(16), "");
}

TEST(GlobalMemory, AnAsynchronousCopyReadsIt) {
  Memory<Half> memory;
  const auto copy = [&](bool ordered, int valid) {
    return fault_of(kTwoWarps, [&, ordered, valid] {
      store_global(memory.at(thread() * 8), Vector<Half, 8>{});
      if (ordered) block_barrier();
      copy_async_16(Shared<Half>(thread() * 16), memory.at((63 - thread()) * 8), valid);
      copy_async_commit();
      copy_async_wait<0>();
    });
  };
  EXPECT_EQ(copy(true, 16), "");
  EXPECT_EQ(copy(false, 0), "");
  expect_fault(copy(false, 16), "race: thread 32");
}

/// Every thread of four blocks writes, the blocks meet, every thread reads what others wrote. What
/// `leave_out` names is not done.
enum class Step { kNone, kBarrierBefore, kArrival, kWait, kBarrierAfter };
std::string meet(Step leave_out, uint32_t schedule) {
  constexpr int kBlocks = 4;
  Memory<float> memory;
  unsigned counter = 0;
  Launch launch{.x = kBlocks, .threads = 64, .residency = Residency::kTogether, .schedule = schedule};
  return fault_of(launch, [&] {
    store_global(memory.at(block_x() * 64 + thread()), 1.0F);
    if (leave_out != Step::kBarrierBefore) block_barrier();
    if (thread() == 0) {
      // One block may forget to come: the others would not wait for it.
      const bool forgets = leave_out == Step::kArrival && block_x() == 2;
      if (!forgets) global_arrive(&counter);
      const auto until = static_cast<unsigned>(leave_out == Step::kArrival ? kBlocks - 1 : kBlocks);
      if (leave_out != Step::kWait) global_wait(&counter, until);
    }
    if (leave_out != Step::kBarrierAfter) block_barrier();
    for (int block = 0; block < kBlocks; ++block) load_global<float>(memory.at(block * 64 + 63 - thread()));
  });
}

TEST(BlocksMeeting, OrdersWhatTheyWroteWhateverTheSchedule) {
  for (uint32_t schedule = 0; schedule < 20; ++schedule) {
    EXPECT_EQ(meet(Step::kNone, schedule), "") << schedule;
    for (const Step step : {Step::kBarrierBefore, Step::kArrival, Step::kWait, Step::kBarrierAfter})
      expect_fault(meet(step, schedule), "race: thread");
  }
}

TEST(BlocksMeeting, WhatABlockHeardItTellsTheNext) {
  const auto chain = [](bool whole) {
    Memory<float> memory;
    std::array<unsigned, 2> counters = {};
    return fault_of({.x = 3, .threads = 32, .residency = Residency::kTogether}, [&, whole] {
      if (block_x() == 0) store_global(memory.at(lane()), 1.0F);
      warp_barrier();
      if (lane() == 0 && block_x() == 0) global_arrive(&counters[0]);
      if (lane() == 5 && block_x() == 1 && whole) global_wait(&counters[0], 1);
      warp_barrier();
      if (lane() == 7 && block_x() == 1) global_arrive(&counters[1]);
      if (lane() == 9 && block_x() == 2) {
        global_wait(&counters[1], 1);
        load_global<float>(memory.at(3));
      }
    });
  };
  EXPECT_EQ(chain(true), "");
  expect_fault(chain(false), "race: thread");
}

TEST(BlocksMeeting, WhatIsWrittenAfterTheArrivalIsNotReleased) {
  Memory<float> memory;
  unsigned counter = 0;
  expect_fault(fault_of({.x = 2, .threads = 32, .residency = Residency::kTogether},
                        [&] {
                          if (lane() != 0) return;
                          if (block_x() == 0) {
                            global_arrive(&counter);
                            store_global(memory.at(0), 1.0F);
                          } else {
                            global_wait(&counter, 1);
                            load_global<float>(memory.at(0));
                          }
                        }),
               "race: thread");
}

TEST(BlocksMeeting, APlainAccessToTheirCounterMustBeOrdered) {
  // Eight blocks meet, as those of a group norm do: state {phase, counter 0, counter 1}. The first block
  // leaves it ready for the next launch.
  enum class Leave { kRight, kBeforeTheWait, kTheirCounter, kByAll };
  const auto launch = [](Leave leave, uint32_t schedule) {
    std::array<unsigned, 3> state = {};
    const auto kernel = [&] {
      if (lane() != 0) return;
      const auto phase = load_global<unsigned>(&state[0]);
      const auto clear = [&] {
        if (block_x() != 0 && leave != Leave::kByAll) return;
        store_global(&state[leave == Leave::kTheirCounter ? 1 + phase : 2 - phase], 0U);
        store_global(&state[0], 1 - phase);
      };
      if (leave == Leave::kBeforeTheWait) clear();
      global_arrive(&state[1 + phase]);
      global_wait(&state[1 + phase], 8);
      if (leave != Leave::kBeforeTheWait) clear();
    };
    std::string fault;
    for (int i = 0; i < 3 && fault.empty(); ++i) {
      fault =
          fault_of({.x = 8, .threads = 32, .residency = Residency::kTogether, .schedule = schedule}, kernel);
    }
    return fault;
  };
  for (uint32_t schedule = 0; schedule < 20; ++schedule) {
    EXPECT_EQ(launch(Leave::kRight, schedule), "") << schedule;
    for (const Leave leave : {Leave::kBeforeTheWait, Leave::kTheirCounter, Leave::kByAll})
      expect_fault(launch(leave, schedule), "race: thread");
  }
  // Nor may it be read as if it were a number like any other.
  unsigned counter = 0;
  expect_fault(fault_of({.x = 2, .threads = 32, .residency = Residency::kTogether},
                        [&] {
                          if (lane() == 0 && block_x() == 0) global_arrive(&counter);
                          if (lane() == 0 && block_x() == 1) load_global<unsigned>(&counter);
                        }),
               "race: thread");
}

TEST(BlocksMeeting, SchedulesLetBlocksAndTheirWarpsComeInAnyOrder) {
  std::set<std::vector<int>> orders;
  int alike = 0;  // schedules under which the warps of both blocks come in the same order
  for (uint32_t schedule = 1; schedule <= 20; ++schedule) {
    std::array<std::vector<int>, 2> order;
    std::vector<int> all;
    fault_of({.x = 2, .threads = 128, .residency = Residency::kTogether, .schedule = schedule}, [&] {
      if (lane() != 0) return;
      order[static_cast<size_t>(block_x())].push_back(warp());
      all.push_back(4 * block_x() + warp());
    });
    ASSERT_EQ(all.size(), 8);
    alike += order[0] == order[1] ? 1 : 0;
    orders.insert(all);
  }
  EXPECT_GT(orders.size(), 10);
  EXPECT_LT(alike, 10);
}

}  // namespace
}  // namespace brume::kernels::device
