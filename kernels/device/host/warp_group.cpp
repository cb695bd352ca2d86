#include <cmath>
#include <limits>

#include "kernels/device/host/hopper_state.h"

// Products of a warp group. Each of its four warps owns sixteen rows, and waits for them by itself.
namespace brume::kernels::device::host {

namespace {

constexpr int kGroupWarps = 4;
constexpr int kDepth = 16;
constexpr int kRows = 16;          // of a warp
constexpr int kMostColumns = 256;  // of a product
constexpr int kChunk = 8;          // elements in sixteen bytes
// No number, and one that no kernel computes.
constexpr uint32_t kPoison = 0x7FFFBAD0;

WarpProducts& products_of(Thread& thread) { return hopper_of(thread).warps[thread.warp()]; }

bool is_poison(float x) { return bits_as<uint32_t>(x) == kPoison; }

void check_same_in_group(Thread& thread, const GroupProduct& product) {
  auto& all = hopper_of(thread).groups[thread.warp() / kGroupWarps];
  const size_t number = products_of(thread).started++;
  if (number == all.size()) all.push_back(product);
  const GroupProduct& first = all[number];
  if (first.a != product.a || first.b != product.b || first.columns != product.columns ||
      first.accumulate != product.accumulate)
    stop_at("the warps of a group start different products");
}

/// What a warp reads from shared memory, sixteen bytes at a time, for one product.
class Reader {
 public:
  Reader(Thread& thread, const WarpProduct& product) : thread_(thread), product_(product) {}

  /// [across][depth] of a matrix in shared memory; `first` is its first row or column.
  template <size_t kAcross>
  void matrix(uint64_t descriptor, Major major, int first, int count, float (&to)[kAcross][kDepth]) {
    const MatrixPlace place = matrix_place(descriptor);
    const int outer = major == Major::kDepth ? count : kDepth;
    const int inner = major == Major::kDepth ? kDepth : count;
    for (int block = 0; block < inner; block += kChunk) {
      std::vector<std::pair<int, int>> accesses;
      for (int row = 0; row < outer; ++row) {
        const int across = major == Major::kDepth ? first + row : first + block;
        const int address = matrix_byte(place, major, across, major == Major::kDepth ? block : row);
        uint16_t values[kChunk];
        read(address, values);
        for (int i = 0; i < kChunk; ++i) {
          float& number = major == Major::kDepth ? to[row][block + i] : to[block + i][row];
          number = product_.lanes[0].number(values[i]);
        }
        accesses.emplace_back(address, 16);
        if (row % kChunk == kChunk - 1) count_conflicts(accesses);
      }
    }
  }

  void registers(float (&to)[kRows][kDepth]) {
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const GroupProduct& own = product_.lanes[static_cast<size_t>(lane)];
      for (int i = 0; i < 4; ++i) {
        for (int half = 0; half < 2; ++half) {
          const Place at = group_left_place(lane, i, half);
          to[at.row][at.column] = own.number(static_cast<uint16_t>(own.a_registers[i] >> (16 * half)));
        }
      }
    }
  }

 private:
  void read(int address, uint16_t (&values)[kChunk]) {
    SharedBytes& shared = thread_.block->shared();
    stop_at(shared.check_fenced(address, sizeof(values)));
    stop_at(shared.read(thread_.index, known_, address, sizeof(values), values));
  }

  /// Eight rows of sixteen bytes are read at once; once for the whole group.
  void count_conflicts(std::vector<std::pair<int, int>>& accesses) {
    if (thread_.warp() % kGroupWarps == 0) thread_.block->report().bank_conflicts += extra_passes(accesses);
    accesses.clear();
  }

  Thread& thread_;
  const WarpProduct& product_;
  Clock known_ = known_now();

  /// What was known when the product was started, at the present time of the reading thread: reads happen as
  /// late as they may.
  Clock known_now() const {
    Clock clock = product_.known;
    clock[static_cast<size_t>(thread_.index)] = thread_.clock[static_cast<size_t>(thread_.index)];
    return clock;
  }
};

void compute(Thread& thread, const WarpProduct& product) {
  static thread_local float left[kRows][kDepth];
  static thread_local float right[kMostColumns][kDepth];
  const GroupProduct& first = product.lanes[0];
  Reader reader(thread, product);
  if (first.a_registers == nullptr) {
    reader.matrix(first.a, Major::kDepth, thread.warp() % kGroupWarps * kRows, kRows, left);
    reader.matrix(first.b, Major::kDepth, 0, first.columns, right);
  } else {
    reader.registers(left);
    reader.matrix(first.b, Major::kAcross, 0, first.columns, right);
  }
  auto& accumulators = products_of(thread).accumulators;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const GroupProduct& own = product.lanes[static_cast<size_t>(lane)];
    std::vector<float>& d = accumulators.at(own.d);
    for (int i = 0; i < own.columns / 2; ++i) {
      const Place at = group_accumulator_place(lane, i);
      float sum = own.accumulate ? d[static_cast<size_t>(i)] : 0;
      for (int k = 0; k < kDepth; ++k) sum += left[at.row][k] * right[at.column][k];
      d[static_cast<size_t>(i)] = sum;
    }
  }
  ++thread.block->report().matrix_products;
}

bool at_work(const WarpProducts& products, const float* d) {
  for (const auto& group : products.groups) {
    for (const WarpProduct& product : group) {
      for (const GroupProduct& lane : product.lanes)
        if (lane.d == d) return true;
    }
  }
  return false;
}

/// Hands out the accumulators on which nothing works any more.
void hand_out(WarpProducts& products, const WarpProduct& finished) {
  for (const GroupProduct& lane : finished.lanes) {
    if (at_work(products, lane.d)) continue;
    const auto found = products.accumulators.find(lane.d);
    if (found == products.accumulators.end()) continue;
    for (size_t i = 0; i < found->second.size(); ++i) {
      if (!is_poison(lane.d[i])) stop_at("an accumulator written while a product is at work on it");
      lane.d[i] = found->second[i];
    }
    products.accumulators.erase(found);
  }
}

void start(Thread& thread, const Operands& operands) {
  WarpProducts& products = products_of(thread);
  WarpProduct product;
  product.known = thread.clock;
  for (size_t lane = 0; lane < operands.size(); ++lane)
    product.lanes[lane] = *static_cast<const GroupProduct*>(operands[lane]);
  for (const GroupProduct& lane : product.lanes) {
    const GroupProduct& first = product.lanes[0];
    if (lane.a != first.a || lane.b != first.b || lane.accumulate != first.accumulate)
      stop_at("the lanes of a warp name different matrices");
    const bool chained = products.accumulators.contains(lane.d);
    if (!products.fenced) stop_at("a product started with no fence since the last wait");
    if (chained) continue;
    const auto size = static_cast<size_t>(lane.columns / 2);
    products.accumulators[lane.d] = std::vector<float>(lane.d, lane.d + size);
    std::fill_n(lane.d, size, bits_as<float>(kPoison));
  }
  check_same_in_group(thread, product.lanes[0]);
  products.groups.back().push_back(std::move(product));
}

}  // namespace

void group_multiply(const GroupProduct& product) {
  Thread& thread = current();
  GroupProduct own = product;
  thread.block->meet_in_warp(thread, "wgmma", &own,
                             [&thread](const Operands& operands) { start(thread, operands); });
}

void group_mark(bool fence) {
  Thread& thread = current();
  thread.block->meet_in_warp(thread, fence ? "wgmma.fence" : "wgmma.commit_group", nullptr,
                             [&thread, fence](const Operands&) {
                               WarpProducts& products = products_of(thread);
                               if (fence) products.fenced = true;
                               if (!fence) products.groups.emplace_back();
                             });
}

void group_wait(int pending, const float* ready) {
  Thread& thread = current();
  thread.block->meet_in_warp(thread, "wgmma.wait_group", &thread, [&thread, pending](const Operands& lanes) {
    WarpProducts& products = products_of(thread);
    while (static_cast<int>(products.groups.size()) - 1 > pending) {
      const std::vector<WarpProduct> group = std::move(products.groups.front());
      products.groups.pop_front();
      for (const WarpProduct& product : group) compute(thread, product);
      for (const WarpProduct& product : group) hand_out(products, product);
    }
    products.fenced = false;
    // The wait tells every lane that the reads are over.
    uint32_t& time = thread.clock[static_cast<size_t>(thread.index)];
    for (void* lane : lanes) static_cast<Thread*>(lane)->clock[static_cast<size_t>(thread.index)] = time;
    ++time;
  });
  if (products_of(thread).accumulators.contains(ready)) stop_at("a wait that leaves its accumulator at work");
}

}  // namespace brume::kernels::device::host
