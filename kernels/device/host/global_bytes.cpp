#include "kernels/device/host/global_bytes.h"

#include <algorithm>

namespace brume::kernels::device::host {

GlobalBytes::GlobalBytes(int blocks_x, int blocks_y, int threads)
    : blocks_x_(blocks_x), blocks_y_(blocks_y), threads_(threads) {}

std::string GlobalBytes::touch(Access access, const void* place, int count, const Toucher& by) {
  const bool writes = access == Access::kWrite || access == Access::kAtomicAdd;
  const bool atomic = access == Access::kAtomicRead || access == Access::kAtomicAdd;
  const Touch now{static_cast<uint16_t>(by.block), static_cast<uint16_t>(by.thread), atomic, by.time};
  const auto unordered = [&](const Touch& before) {
    if (before.time == 0 || (atomic && before.atomic)) return false;
    const bool same_block = before.block == now.block;
    return (same_block ? by.clock[before.thread] : by.clock.of_other(before.block, before.thread)) <
           before.time;
  };
  const auto first = reinterpret_cast<uintptr_t>(place);
  for (uintptr_t unit = first / kUnit; unit * kUnit < first + static_cast<uintptr_t>(count); ++unit) {
    Unit& at = page(unit / kPage)[unit % kPage];
    const char* does = writes ? " writes" : " reads";
    if (unordered(at.written)) return race(now, does, at.written, " wrote");
    if (writes) {
      for (const Touch& read : at.reads) {
        if (unordered(read)) return race(now, does, read, " read");
      }
    }
    if (access == Access::kWrite) {
      // Whoever knows of this one knows of the reads too. A counter tells no longer what was released there.
      if (at.written.atomic) released_.erase(unit * kUnit / sizeof(unsigned) * sizeof(unsigned));
      at.reads = {};
    }
    if (writes) at.written = now;
    if (access != Access::kWrite) note_read(at, now);
  }
  return "";
}

GlobalBytes::Page& GlobalBytes::page(uintptr_t number) {
  if (last_ == nullptr || number != last_number_) {
    std::unique_ptr<Page>& found = pages_[number];
    if (found == nullptr) found = std::make_unique<Page>();
    last_number_ = number;
    last_ = found.get();
  }
  return *last_;
}

void GlobalBytes::note_read(Unit& at, const Touch& touch) {
  size_t place = 0;  // of the warp's own, else the oldest
  const auto own = [&](const Touch& read) {
    return read.block == touch.block && read.thread / kWarp == touch.thread / kWarp;
  };
  while (place + 1 < at.reads.size() && !own(at.reads[place])) ++place;
  std::copy_backward(at.reads.begin(), at.reads.begin() + place, at.reads.begin() + place + 1);
  at.reads[0] = touch;
}

std::string GlobalBytes::race(const Touch& now, const char* does, const Touch& before,
                              const char* did) const {
  return "race: " + name_of(now) + does + " what " + name_of(before) + did +
         ", with no barrier between, in global memory";
}

std::string GlobalBytes::name_of(const Touch& touch) const {
  const int column = touch.block % blocks_x_;
  const int row = touch.block / blocks_x_ % blocks_y_;
  const int layer = touch.block / blocks_x_ / blocks_y_;
  return (touch.thread < threads_ ? "thread " + std::to_string(touch.thread)
                                  : "a tensor copy of mbarrier " + std::to_string(touch.thread - threads_)) +
         " of block " + std::to_string(column) + "," + std::to_string(row) + "," + std::to_string(layer);
}

}  // namespace brume::kernels::device::host
