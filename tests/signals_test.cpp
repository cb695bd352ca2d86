#include "src/cli/signals.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <vector>

namespace brume::cli {
namespace {

#if defined(__x86_64__)

/// Sends `signal` to this process while the stack pointer stands at `stack`, as a kernel of oneDNN may hold
/// it in the middle of its workspace.
void send_with_stack_at(std::byte* stack, int signal) {
  long number = SYS_kill;
  asm volatile(
      "mov %%rsp, %%rbx\n\t"
      "mov %[stack], %%rsp\n\t"
      "syscall\n\t"
      "mov %%rbx, %%rsp"
      : "+a"(number)
      : [stack] "r"(stack), "D"(::getpid()), "S"(signal)
      : "rbx", "rcx", "r11", "memory", "cc");
  ASSERT_EQ(number, 0);
}

class Signals : public testing::TestWithParam<int> {};

TEST_P(Signals, AreHandledWithoutATraceWhereTheStackPointerStands) {
  constexpr std::byte kUntouched{0x5A};
  std::vector<std::byte> heap(size_t{128} << 10, kUntouched);
  if (stop_signal() != 0) GTEST_SKIP() << "one signal a process; ctest starts one for each";
  const PoliteStop polite;
  send_with_stack_at(heap.data() + heap.size() - 64, GetParam());
  EXPECT_EQ(stop_signal(), GetParam());
  EXPECT_TRUE(std::ranges::all_of(heap, [](std::byte one) { return one == kUntouched; }));
}

// Each in a process of its own (gtest_discover_tests): the first signal is remembered for good.
INSTANTIATE_TEST_SUITE_P(All, Signals, testing::Values(SIGINT, SIGTERM, SIGHUP, SIGUSR1));

#endif

}  // namespace
}  // namespace brume::cli
