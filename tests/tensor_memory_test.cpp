#include "brume/base/tensor_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "brume/pipeline/memory.h"

namespace brume {
namespace {

/// Memory of this process, in bytes: its addresses, and what of them is there.
struct Use {
  int64_t addresses = 0;
  int64_t resident = 0;
};

Use memory_use() {
  std::ifstream file("/proc/self/statm");
  Use use;
  file >> use.addresses >> use.resident;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  return {use.addresses * page, use.resident * page};
}

bool watched() {
#if defined(__SANITIZE_ADDRESS__)
  return true;  // malloc is used, so that the sanitizer sees each tensor
#else
  return false;
#endif
}

TEST(TensorMemory, WhatIsFreedIsUsedAgain) {
  if (watched()) GTEST_SKIP() << "the address sanitizer watches malloc";
  use_own_tensor_memory();
  const void* place = nullptr;
  {
    const at::Tensor large = at::ones({1 << 24});
    place = large.const_data_ptr();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0U);
  }
  // In two parts, of which malloc would have given neither the same place.
  const at::Tensor first = at::ones({1 << 23});
  const at::Tensor second = at::ones({1 << 23});
  EXPECT_EQ(first.const_data_ptr(), place);
  EXPECT_EQ(second.const_data_ptr<float>(), first.const_data_ptr<float>() + (1 << 23));
}

TEST(TensorMemory, IsGivenBackOnRequest) {
  if (watched()) GTEST_SKIP() << "the address sanitizer watches malloc";
  use_own_tensor_memory();
  constexpr int64_t kBytes = int64_t{256} << 20;
  const at::Tensor kept = at::full({1 << 20}, 3);
  { at::Tensor large = at::ones({kBytes}, at::kByte); }
  const int64_t before = memory_use().resident;
  EXPECT_GE(kept_tensor_memory(), kBytes);
  give_back_tensor_memory();
  EXPECT_EQ(kept_tensor_memory(), 0);
  EXPECT_LT(memory_use().resident, before - kBytes / 10 * 9);
  EXPECT_TRUE(kept.eq(3).all().item<bool>());
}

/// Else a second picture would be refused for want of what the first one has left.
TEST(TensorMemory, CountsAsAvailableWhatItKeeps) {
  if (watched()) GTEST_SKIP() << "the address sanitizer watches malloc";
  use_own_tensor_memory();
  give_back_tensor_memory();
  constexpr int64_t kBytes = int64_t{512} << 20;
  constexpr double kOthers = 256 << 20;  // what other programs may take or leave meanwhile
  at::Tensor large = at::ones({kBytes}, at::kByte);
  const at::Tensor behind = at::ones({1 << 20});
  EXPECT_EQ(kept_tensor_memory(), 0);
  const double while_used = available_memory().value();
  large = at::Tensor();
  EXPECT_GE(kept_tensor_memory(), kBytes);
  EXPECT_GT(available_memory().value(), while_used + static_cast<double>(kBytes) - kOthers);
  // What a hole has been given back for is the system's, and counted by it.
  give_back_tensor_memory();
  EXPECT_EQ(kept_tensor_memory(), 0);
  large = at::ones({kBytes / 2}, at::kByte);
  EXPECT_EQ(kept_tensor_memory(), 0);
  large = at::Tensor();
  EXPECT_EQ(kept_tensor_memory(), kBytes / 2);
}

TEST(TensorMemory, KeepsTheTensorsOfAllThreadsApart) {
  use_own_tensor_memory();
  std::atomic<bool> sound = true;
  const auto work = [&](uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<at::Tensor> held(20);
    for (int i = 0; i < 2000; ++i) {
      at::Tensor& one = held[random() % held.size()];
      if (one.defined() && !one.eq(one[0]).all().item<bool>()) sound = false;
      one = at::full({static_cast<int64_t>(1 + random() % 100000)}, static_cast<int64_t>(random() % 1000));
      if (random() % 50 == 0) give_back_tensor_memory();
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(sound);
}

TEST(TensorMemory, TakesBackWhatAnotherAllocatorGave) {
  at::Tensor before = at::ones({1 << 20});
  use_own_tensor_memory();
  before = at::Tensor();
  EXPECT_EQ(at::ones({1 << 20}).sum().item<float>(), 1 << 20);
}

TEST(TensorMemory, IsMallocsWhereAddressesAreRationed) {
  const auto in_a_process_of_its_own = [] {
    rlimit space{};
    ::getrlimit(RLIMIT_AS, &space);
    space.rlim_cur = rlim_t{64} << 30;
    if (::setrlimit(RLIMIT_AS, &space) != 0) std::_Exit(2);
    const int64_t before = memory_use().addresses;
    use_own_tensor_memory();
    const bool sound = at::ones({1 << 20}).sum().item<float>() == 1 << 20;
    std::_Exit(sound && memory_use().addresses < before + (int64_t{1} << 30) ? 0 : 1);
  };
  if (watched()) GTEST_SKIP() << "the address sanitizer needs more addresses";
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(in_a_process_of_its_own(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace brume
