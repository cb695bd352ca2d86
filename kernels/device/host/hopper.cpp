#include "kernels/device/host/hopper.h"

#include "kernels/device/host/hopper_state.h"

namespace brume::kernels::device {

namespace host {

namespace {

constexpr int kMbarrierBytes = 8;
constexpr int kChunkBytes = 16;
constexpr int kElement = 2;

MbarrierState& mbarrier_at(int place) {
  Thread& thread = current();
  auto& all = hopper_of(thread).mbarriers;
  const auto found = all.find(place);
  if (found == all.end()) {
    stop_at("no mbarrier at byte " + std::to_string(place));
  } else if (found->second.initialised_by != thread.index &&
             thread.clock[static_cast<size_t>(found->second.initialised_by)] < found->second.initialised_at) {
    stop_at("race: an mbarrier used with no barrier after its initialisation, at byte " +
            std::to_string(place));
  }
  return found->second;
}

/// What of one row of sixteen bytes of a box lies inside the tensor.
struct Inside {
  const std::byte* from = nullptr;
  int first = 0;  // of the sixteen bytes
  int count = 0;
};

Inside inside(const TensorMap& map, const TilePlace& from, int row, int column) {
  const std::array<int64_t, 3> outer{from.head, from.row + row, from.picture};
  const auto* place = static_cast<const std::byte*>(map.base);
  for (size_t i = 0; i < outer.size(); ++i) {
    if (outer[i] < 0 || outer[i] >= map.sizes[i + 1]) return {};
    place += outer[i] * map.strides[i];
  }
  const int64_t at = from.column + column;
  const int64_t first = std::max<int64_t>(at, 0);
  const int64_t last = std::min<int64_t>(at + kChunkBytes / kElement, map.sizes[0]);
  if (first >= last) return {};
  return {place + kElement * first, static_cast<int>(kElement * (first - at)),
          static_cast<int>(kElement * (last - first))};
}

/// The sixteen bytes, zero where they lie outside the tensor.
std::vector<std::byte> chunk_of(const Inside& inside) {
  std::vector<std::byte> bytes(kChunkBytes);
  if (inside.count > 0) memcpy(bytes.data() + inside.first, inside.from, static_cast<size_t>(inside.count));
  return bytes;
}

/// Calls visit(address, row, column) for every sixteen bytes of a box.
template <class Visit>
void for_each_chunk(const TensorMap& map, int to, const Visit& visit) {
  const int row_bytes = map.columns * kElement;
  for (int row = 0; row < map.rows; ++row) {
    for (int byte = 0; byte < row_bytes; byte += kChunkBytes)
      visit(swizzled(to + row * row_bytes + byte, map.swizzle), row, byte / kElement);
  }
}

/// Ends the phase if all have come; the copies come when somebody waits, and no earlier.
void end_phase(Thread& thread, MbarrierState& barrier, bool waited_for) {
  if (barrier.arrived < barrier.count) return;
  if (waited_for) {
    for (const MbarrierState::Copy& copy : barrier.copies) {
      for_each_chunk(copy.map, copy.to, [&](int address, int row, int column) {
        thread.block->shared().complete_tensor_copy(barrier.number, barrier.ended + 1, address,
                                                    chunk_of(inside(copy.map, copy.from, row, column)));
      });
      barrier.bytes -= copy.map.bytes();
    }
    barrier.copies.clear();
  }
  if (barrier.bytes != 0 || !barrier.copies.empty()) return;
  ++barrier.ended;
  barrier.arrived = 0;
  barrier.last = barrier.heard;
  const int slot = thread.block->launch().threads + barrier.number;
  barrier.last[static_cast<size_t>(slot)] = barrier.ended;
  barrier.heard = Clock(barrier.heard.size());
}

void check_map(const TensorMap& map, int to) {
  stop_at(fault_of_map(map));
  if (to % std::max(128, swizzle_pattern_bytes(map.swizzle)) != 0)
    stop_at("a tensor copy to where no swizzle pattern begins, byte " + std::to_string(to));
}

}  // namespace

std::string fault_of_map(const TensorMap& map) {
  if (map.columns * kElement != swizzle_row_bytes(map.swizzle))
    return "a box whose rows are not as long as the swizzle's";
  if (map.rows < 1 || map.rows > 256) return "a box of " + std::to_string(map.rows) + " rows";
  if (reinterpret_cast<uintptr_t>(map.base) % kChunkBytes != 0) return "a tensor that is not aligned";
  for (const int64_t size : map.sizes) {
    if (size < 1 || size > int64_t{1} << 32) return "a tensor with a size of " + std::to_string(size);
  }
  // "globalStrides[0] = globalDim[0] * elementSizeInBytes(tensorDataType) + padding[0]; for (i = 1; ...)
  // globalStrides[i] = globalStrides[i - 1] * (globalDim[i] + padding[i])"
  int64_t before = kElement;
  for (size_t i = 0; i < std::size(map.strides); ++i) {
    const int64_t stride = map.strides[i];
    const std::string name = "a tensor's stride of " + std::to_string(stride) + " bytes";
    if (stride % kChunkBytes != 0) return name + ", which is no multiple of 16";
    if (stride >= int64_t{1} << 40) return name + ", which is too far";
    if (stride % before != 0) return name + ", which is no multiple of the one before";
    if (stride / before < map.sizes[i]) return name + ", which is less than what it steps over";
    before = stride;
  }
  return "";
}

Hopper& hopper_of(Thread& thread) {
  std::shared_ptr<Hopper>& state = thread.block->hopper();
  if (!state) state = std::make_shared<Hopper>();
  return *state;
}

void mbarrier_init(int place, int count) {
  Thread& thread = current();
  auto& all = hopper_of(thread).mbarriers;
  const uint64_t fresh = 0;
  stop_at(thread.block->shared().write(thread.index, thread.clock, place, kMbarrierBytes, &fresh));
  if (all.contains(place)) stop_at("an mbarrier initialised twice");
  if (static_cast<int>(all.size()) == kMostMbarriers) stop_at("more mbarriers than the host body counts");
  MbarrierState barrier{.number = static_cast<int>(all.size()),
                        .count = count,
                        .initialised_by = thread.index,
                        .initialised_at = thread.clock[static_cast<size_t>(thread.index)],
                        .heard = Clock(thread.clock.size()),
                        .last = Clock(thread.clock.size()),
                        .copies = {}};
  all.emplace(place, std::move(barrier));
}

void mbarrier_arrive(int place, int expected_bytes) {
  Thread& thread = current();
  MbarrierState& barrier = mbarrier_at(place);
  if (barrier.arrived == barrier.count) stop_at("more arrivals at an mbarrier than it counts");
  barrier.bytes += expected_bytes;
  ++barrier.arrived;
  barrier.heard.join(thread.clock);
  ++thread.clock[static_cast<size_t>(thread.index)];
  end_phase(thread, barrier, false);
}

void mbarrier_wait(int place, int parity) {
  Thread& thread = current();
  MbarrierState& barrier = mbarrier_at(place);
  if (parity != 0 && parity != 1) stop_at("a parity of " + std::to_string(parity));
  const auto ended = [&thread, &barrier, parity] {
    const auto passed = [&] { return static_cast<int>(barrier.ended % 2) != parity; };
    if (!passed()) end_phase(thread, barrier, true);
    return passed();
  };
  thread.block->wait(thread, "an mbarrier", ended);
  thread.clock.join(barrier.last);
}

void copy_tile(int to, const TensorMap& map, const TilePlace& from, int place) {
  Thread& thread = current();
  MbarrierState& barrier = mbarrier_at(place);
  SharedBytes& shared = thread.block->shared();
  check_map(map, to);
  stop_at(shared.check_fenced(place, kMbarrierBytes));
  // What the copy reads it reads until its phase ends.
  const GlobalBytes::Toucher reader{thread.block->number(), thread.block->launch().threads + barrier.number,
                                    barrier.ended + 1, thread.clock};
  for_each_chunk(map, to, [&](int address, int row, int column) {
    stop_at(shared.check_fenced(address, kChunkBytes));
    stop_at(shared.begin_copy(thread.index, thread.clock, address, kChunkBytes));
    const Inside read = inside(map, from, row, column);
    stop_at(thread.block->global().touch(Access::kRead, read.from, read.count, reader));
  });
  barrier.copies.push_back({map, from, to});
}

}  // namespace host

bool elected() {
  host::Thread& thread = host::current();
  thread.block->meet_in_warp(thread, "elect", nullptr, [](const host::Operands&) {});
  return thread.lane() == 0;
}

}  // namespace brume::kernels::device
