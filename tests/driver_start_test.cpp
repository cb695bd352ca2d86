#include "kernels/gpu/driver_start.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace brume::kernels::gpu {
namespace {

/// What the double of a driver remembers under this name.
int* remembered(const char* name) {
  void* const library = ::dlopen(BRUME_FAKE_DRIVER, RTLD_LAZY | RTLD_LOCAL);
  EXPECT_NE(library, nullptr) << ::dlerror();
  return static_cast<int*>(::dlsym(library, name));
}

TEST(DriverStart, KeepsTheContextOfAGpuThatIsOpened) {
  int* const contexts = remembered("fake_driver_contexts");
  const int starts = *remembered("fake_driver_starts");
  {
    DriverStart start(1, BRUME_FAKE_DRIVER);
    start.keep();
  }
  EXPECT_EQ(*remembered("fake_driver_starts"), starts + 1);
  EXPECT_EQ(contexts[0], 0);
  EXPECT_EQ(contexts[1], 1);
  contexts[1] = 0;
}

TEST(DriverStart, GivesItBackWhereNoneIs) {
  int* const contexts = remembered("fake_driver_contexts");
  const int starts = *remembered("fake_driver_starts");
  { const DriverStart start(0, BRUME_FAKE_DRIVER); }
  EXPECT_EQ(*remembered("fake_driver_starts"), starts + 1);
  EXPECT_EQ(contexts[0], 0);
}

TEST(DriverStart, SaysNothingOfWhatIsNotThere) {
  int* const contexts = remembered("fake_driver_contexts");
  { const DriverStart of_no_gpu(2, BRUME_FAKE_DRIVER); }
  EXPECT_EQ(contexts[0] + contexts[1], 0);
  { const DriverStart of_no_driver(0, "libno-such-driver.so.1"); }
  { const DriverStart of_another_library(0, "libc.so.6"); }
}

}  // namespace
}  // namespace brume::kernels::gpu
