#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "kernels/device/host/clock.h"

namespace brume::kernels::device::host {

/// Atomic ones (those of a barrier among blocks) do not race with each other.
enum class Access : uint8_t { kRead, kWrite, kAtomicRead, kAtomicAdd };

/// What is known of global memory while a grid runs: who touched every two bytes of it when, whichever block
/// it belongs to. An access that is not ordered after a conflicting one of another thread is a race, as in
/// SharedBytes. The memory itself stays where it is; of what nobody touches nothing is kept.
class GlobalBytes {
 public:
  static constexpr int kMostBlocks = 1 << 16;

  GlobalBytes(int blocks_x, int blocks_y, int threads);

  /// Who touches it: a thread, or behind the threads of a block an mbarrier, whose tensor copy was ordered by
  /// a thread that knows `clock`.
  struct Toucher {
    int block;
    int thread;
    uint32_t time;
    const Clock& clock;
  };
  /// Gives the fault, or "".
  std::string touch(Access access, const void* place, int count, const Toucher& by);

  /// What those have released who arrived at the counter since it was last stored to.
  BlockTimes& released(const void* counter) { return released_[reinterpret_cast<uintptr_t>(counter)]; }

 private:
  static constexpr uintptr_t kUnit = 2;    // bytes
  static constexpr uintptr_t kPage = 512;  // units
  static constexpr int kWarp = 32;

  struct Touch {
    uint16_t block = 0;
    uint16_t thread : 15 = 0;
    uint16_t atomic : 1 = 0;
    uint32_t time = 0;  // 0: none
  };
  struct Unit {
    Touch written;
    // The last of the last three warps that read it, the latest first: a race with an earlier one may go
    // unseen.
    std::array<Touch, 3> reads;
  };
  using Page = std::array<Unit, kPage>;

  Page& page(uintptr_t number);
  static void note_read(Unit& at, const Touch& touch);
  std::string race(const Touch& now, const char* does, const Touch& before, const char* did) const;
  std::string name_of(const Touch& touch) const;

  int blocks_x_;
  int blocks_y_;
  int threads_;
  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages_;
  uintptr_t last_number_ = 0;
  Page* last_ = nullptr;
  std::map<uintptr_t, BlockTimes> released_;
};

}  // namespace brume::kernels::device::host
