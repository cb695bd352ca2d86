#pragma once
#include <cstdint>
#include <thread>

namespace brume::kernels::gpu {

/// Brings the driver and its context on a GPU up on a thread of its own, beside what else there is to do
/// before that GPU is opened. Nothing of it is told: who opens the GPU meets the same failure again.
class DriverStart {
 public:
  /// `library`: the driver's, by the name under which the system finds it.
  explicit DriverStart(int32_t index, const char* library = "libcuda.so.1");
  /// Waits for it. What is not kept is given back.
  ~DriverStart();
  DriverStart(const DriverStart&) = delete;
  DriverStart& operator=(const DriverStart&) = delete;

  /// The GPU is open: its context stays to the process's end.
  void keep() { kept_ = true; }

 private:
  void start(int32_t index);

  void* library_;
  int device_ = -1;  // whose context there is
  bool kept_ = false;
  std::thread thread_;
};

}  // namespace brume::kernels::gpu
