#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/fiber.h"
#include "kernels/device/host/global_bytes.h"
#include "kernels/device/host/shared_bytes.h"

namespace brume::kernels::device::host {

inline constexpr int kWarpSize = 32;

/// Whether blocks run one after the other, or all at once, as a barrier among them needs.
enum class Residency { kOneByOne, kTogether };

struct Launch {
  int x = 1;
  int y = 1;
  int z = 1;
  int threads = kWarpSize;  // a multiple of 32
  int shared_bytes = 0;
  Residency residency = Residency::kOneByOne;
  uint32_t schedule = 0;  // 0: threads go on in turn; any other: warps at random, in each block another way
};

/// What went wrong and what was counted while a grid ran.
struct Report {
  std::vector<std::string> faults;  // the first few
  int64_t bank_conflicts = 0;       // passes over shared memory beyond the least possible
  int64_t matrix_products = 0;      // of warps
};

/// Runs `kernel` once for every thread of the grid: a fibre each, which changes at barriers and at operations
/// that a warp does together. A copy arrives only when it is waited for. Ends early at the first fault.
Report run_grid(const Launch& launch, const std::function<void()>& kernel);

class Block;
struct Hopper;

/// A copy from global to shared memory that is on its way.
struct PendingCopy {
  int offset;
  std::vector<std::byte> bytes;
};

struct Thread {
  Block* block;
  int index;
  Clock clock;
  std::deque<std::vector<PendingCopy>> groups = {{}};  // the last one is still open
  std::array<int, 2> shared_access = {};               // how many since the last meeting: loads, stores
  std::function<bool()> waits_for = {};                // empty: it can run
  const char* waits_at = "";
  std::unique_ptr<Fiber> fiber = {};

  int warp() const { return index / kWarpSize; }
  int lane() const { return index % kWarpSize; }
};

/// The thread that is running. Only a kernel may ask.
Thread& current();

/// What the lanes of a warp do together. Each brings an operand; the last to come does the operation for all.
using Operands = std::array<void*, kWarpSize>;

/// A block at work.
class Block {
 public:
  Block(const Launch& launch, std::array<int, 3> place, GlobalBytes& global, Report& report);

  /// Lets each thread run as far as it gets. True if any did.
  bool advance();
  bool ended() const;
  /// Where each thread stands, for the message about a deadlock.
  std::string standstill() const;

  void fail(const std::string& fault);
  const Launch& launch() const { return launch_; }
  const std::array<int, 3>& place() const { return place_; }
  /// Among the blocks of the grid.
  int number() const { return (place_[2] * launch_.y + place_[1]) * launch_.x + place_[0]; }
  SharedBytes& shared() { return shared_; }
  GlobalBytes& global() { return global_; }
  /// What hopper.h keeps of the block; made by its first use.
  std::shared_ptr<Hopper>& hopper() { return hopper_; }
  Report& report() { return report_; }

  /// Waits until all lanes of the warp have come to the operation `name`; then `operation` has been done
  /// once.
  void meet_in_warp(Thread& thread, const char* name, void* operand,
                    const std::function<void(const Operands&)>& operation);
  /// Barrier `id` among `count` threads; orders their accesses.
  void meet(Thread& thread, int id, int count);
  /// Comes to that barrier without waiting there, nor hearing of the others' accesses.
  void arrive(Thread& thread, int id, int count);
  /// Orders the accesses of a warp's lanes.
  void order_warp(int warp);
  /// Waits until `done`.
  void wait(Thread& thread, const char* at, std::function<bool()> done);
  /// Counts an access of a lane to shared memory; the lanes' n-th since their last meeting are one
  /// instruction.
  void count_access(Thread& thread, bool store, int offset, int bytes);

 private:
  friend Report run_grid(const Launch&, const std::function<void()>&);

  struct WarpMeeting {
    int arrived = 0;
    int64_t finished = 0;
    const char* name = "";
    Operands operands = {};
  };
  struct Barrier {
    std::vector<Thread*> arrived;
    int passing = 0;  // threads that came and did not wait
    Clock heard;      // of these
    int64_t finished = 0;
  };
  struct Instruction {
    int lanes = 0;
    std::vector<std::pair<int, int>> accesses;  // offset, bytes
  };

  bool advance_warp(size_t warp);
  void order(const std::vector<Thread*>& threads);
  void settle_accesses(int warp);
  /// Lets the threads at the barrier go on if `count` have come.
  bool finish(Barrier& barrier, int count);

  Launch launch_;
  std::array<int, 3> place_;
  GlobalBytes& global_;
  Report& report_;
  SharedBytes shared_;
  std::vector<Thread> threads_;
  std::vector<WarpMeeting> warps_;
  std::map<int, Barrier> barriers_;
  std::vector<std::map<std::pair<bool, int>, Instruction>> instructions_;  // of each warp
  std::shared_ptr<Hopper> hopper_;
  std::minstd_rand random_;
};

/// Passes over 32 banks of 4 bytes beyond those that the bytes themselves need.
int extra_passes(const std::vector<std::pair<int, int>>& accesses);

}  // namespace brume::kernels::device::host
