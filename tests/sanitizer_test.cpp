// Proof that the sanitizer build stops on what it is there to find. Built in that build only.
#include <gtest/gtest.h>
#include <sanitizer/lsan_interface.h>

#include <cstdlib>
#include <limits>

namespace brume {
namespace {

TEST(SanitizerDeathTest, ReadPastTheEnd) {
  volatile int index = 4;
  EXPECT_DEATH(
      {
        int* volatile four = new int[4]{};
        std::exit(four[index]);
      },
      "AddressSanitizer: heap-buffer-overflow");
}

TEST(SanitizerDeathTest, SignedOverflow) {
  volatile int largest = std::numeric_limits<int>::max();
  EXPECT_DEATH(std::exit(largest + 1), "signed integer overflow");
}

TEST(SanitizerDeathTest, Leak) {
  EXPECT_DEATH(
      {
        int* volatile lost = new int(1);
        lost = nullptr;
        static_cast<void>(lost);
        __lsan_do_leak_check();
      },
      "LeakSanitizer: detected memory leaks");
}

}  // namespace
}  // namespace brume
