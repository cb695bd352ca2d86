#pragma once
#include <deque>
#include <map>
#include <vector>

#include "kernels/device/host/hopper.h"

namespace brume::kernels::device::host {

/// An mbarrier of a block.
struct MbarrierState {
  struct Copy {
    TensorMap map;
    TilePlace from;
    int to;
  };
  int number;  // its place in the clocks, behind the threads
  int count;
  int initialised_by;
  uint32_t initialised_at;
  int arrived = 0;
  int64_t bytes = 0;   // announced, less those that have come
  uint32_t ended = 0;  // phases
  Clock heard;         // from those who arrived in this phase
  Clock last;          // what the phase that ended last tells
  std::vector<Copy> copies;
};

/// A product that a warp has started: its part, sixteen rows.
struct WarpProduct {
  std::array<GroupProduct, kWarpSize> lanes;
  Clock known;  // when it was started
};

/// What a warp has started and not waited for.
struct WarpProducts {
  std::deque<std::vector<WarpProduct>> groups = {{}};       // the last one is still open
  std::map<const float*, std::vector<float>> accumulators;  // the numbers behind those at work
  bool fenced = false;                                      // since its last wait
  size_t started = 0;
};

struct Hopper {
  std::map<int, MbarrierState> mbarriers;           // by their place
  std::map<int, WarpProducts> warps;                // by their number
  std::map<int, std::vector<GroupProduct>> groups;  // every product of a warp group, by one of its threads
};

Hopper& hopper_of(Thread& thread);

}  // namespace brume::kernels::device::host
