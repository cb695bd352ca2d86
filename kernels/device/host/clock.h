#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace brume::kernels::device::host {

/// What each thread of a block had done at some moment. Behind the threads come the block's mbarriers, whose
/// time are the phases that have ended: what a tensor copy writes is written by its mbarrier.
using Times = std::vector<uint32_t>;
inline constexpr int kMostMbarriers = 32;  // of a block

/// The times of some blocks, by their number. Many threads know the same, so it is shared and never changes;
/// null: of none.
using BlockTimes = std::shared_ptr<const std::map<int, std::shared_ptr<const Times>>>;

/// A thread's knowledge of every thread's time: what each had done when it last heard of it (a vector clock).
/// Of the threads of its own block it hears at barriers, of other blocks by what they release in global
/// memory.
class Clock {
 public:
  explicit Clock(size_t size = 0) : own_(size) {}

  size_t size() const { return own_.size(); }
  uint32_t& operator[](size_t i) { return own_[i]; }
  uint32_t operator[](size_t i) const { return own_[i]; }
  uint32_t of_other(int block, size_t i) const;

  /// Hears all that a thread of the same block knows.
  void join(const Clock& from);
  /// Adds what a thread of `block` knows to what others may acquire.
  void release(int block, BlockTimes& to) const;
  void acquire(int block, const BlockTimes& from);

 private:
  Times own_;
  BlockTimes others_;
};

}  // namespace brume::kernels::device::host
