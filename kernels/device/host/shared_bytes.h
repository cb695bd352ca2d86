#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/host/clock.h"

namespace brume::kernels::device::host {

/// A block's shared memory, with what is known of every two bytes: whether they were ever written, whether a
/// copy to them is still on its way, and who touched them when. An access that is not ordered after a
/// conflicting one of another thread by a barrier is a race ("FastTrack", Flanagan and Freund 2009).
class SharedBytes {
 public:
  SharedBytes(int bytes, int threads);

  /// What threads write by ordinary stores the asynchronous units (tensor copies, warp groups' products) see
  /// only after the thread's fence.
  void fence(int thread, Clock& clock);
  /// "" where the asynchronous units see what was written, else the fault.
  std::string check_fenced(int offset, int count) const;

  int size() const { return static_cast<int>(bytes_.size()); }
  /// Each gives the fault, or "". `clock` is the accessing thread's.
  std::string read(int thread, const Clock& clock, int offset, int count, void* to);
  std::string write(int thread, const Clock& clock, int offset, int count, const void* from);
  /// A copy that the thread has ordered: nobody may touch the bytes until it is complete.
  std::string begin_copy(int thread, const Clock& clock, int offset, int count);
  void complete_copy(int thread, const Clock& clock, int offset, int count, const void* from);
  /// A tensor copy's, in the phase of number `phase` of mbarrier `number`.
  void complete_tensor_copy(int number, uint32_t phase, int offset, const std::vector<std::byte>& from);

 private:
  static constexpr int kUnit = 2;  // bytes
  static constexpr int kWarp = 32;

  struct Access {
    uint16_t thread = 0;
    uint32_t time = 0;  // 0: none
  };
  struct Unit {
    Access written;
    bool copying = false;
  };

  Access& last_read(int unit, int warp) {
    return reads_[static_cast<size_t>(unit) * static_cast<size_t>(warps_) + static_cast<size_t>(warp)];
  }
  const Access& last_read(int unit, int warp) const {
    return reads_[static_cast<size_t>(unit) * static_cast<size_t>(warps_) + static_cast<size_t>(warp)];
  }
  std::string check_place(int offset, int count) const;
  std::string check_order(int unit, const Clock& clock, int thread, bool writes) const;
  std::string name_of(int writer) const;

  int threads_;
  int warps_;
  std::vector<std::byte> bytes_;
  std::vector<Unit> units_;
  // [units][warps], the last of each warp: a race with an earlier lane of the same warp may go unseen.
  std::vector<Access> reads_;
  std::vector<uint32_t> fenced_;  // [threads], up to which time each has fenced its writes
};

}  // namespace brume::kernels::device::host
