#include "kernels/device/host/shared_bytes.h"

#include <cstring>

namespace brume::kernels::device::host {

namespace {

constexpr auto kPoison = std::byte{0xFF};  // not a number in every format

std::string at_byte(int offset) { return " at byte " + std::to_string(offset) + " of shared memory"; }

}  // namespace

SharedBytes::SharedBytes(int bytes, int threads)
    : threads_(threads),
      warps_((threads + kWarp - 1) / kWarp),
      bytes_(static_cast<size_t>(bytes), kPoison),
      units_(static_cast<size_t>((bytes + kUnit - 1) / kUnit)),
      reads_(units_.size() * static_cast<size_t>(warps_)),
      fenced_(static_cast<size_t>(threads)) {}

void SharedBytes::fence(int thread, Clock& clock) {
  fenced_[static_cast<size_t>(thread)] = clock[static_cast<size_t>(thread)]++;
}

std::string SharedBytes::check_fenced(int offset, int count) const {
  if (std::string fault = check_place(offset, count); !fault.empty()) return fault;
  for (int unit = offset / kUnit; unit < (offset + count) / kUnit; ++unit) {
    const Access& written = units_[static_cast<size_t>(unit)].written;
    if (written.time != 0 && written.thread < threads_ && fenced_[written.thread] < written.time) {
      return "asynchronous access to what thread " + std::to_string(written.thread) +
             " wrote and did not fence for the asynchronous proxy" + at_byte(unit * kUnit);
    }
  }
  return "";
}

std::string SharedBytes::name_of(int writer) const {
  return writer < threads_ ? "thread " + std::to_string(writer)
                           : "a tensor copy of mbarrier " + std::to_string(writer - threads_);
}

std::string SharedBytes::check_place(int offset, int count) const {
  if (offset < 0 || offset + count > size())
    return "access" + at_byte(offset) + ", which has " + std::to_string(size());
  const bool aligned = count >= kUnit && offset % (count > 16 ? 16 : count) == 0;
  return aligned ? "" : "access of " + std::to_string(count) + " bytes that is not aligned" + at_byte(offset);
}

std::string SharedBytes::check_order(int unit, const Clock& clock, int thread, bool writes) const {
  const Unit& at = units_[static_cast<size_t>(unit)];
  if (at.copying) return "touched while a copy to it is on its way" + at_byte(unit * kUnit);
  const auto unordered = [&](const Access& access) {
    return access.time != 0 && access.thread != thread && clock[access.thread] < access.time;
  };
  if (unordered(at.written)) {
    return std::string("race: thread ") + std::to_string(thread) + (writes ? " writes" : " reads") +
           " what " + name_of(at.written.thread) + " wrote, with no barrier between" + at_byte(unit * kUnit);
  }
  if (!writes) return "";
  for (int warp = 0; warp < warps_; ++warp) {
    const int last = unit * warps_ + warp;
    const Access& read = reads_[static_cast<size_t>(last)];
    if (unordered(read)) {
      return "race: thread " + std::to_string(thread) + " writes what thread " + std::to_string(read.thread) +
             " read, with no barrier between" + at_byte(unit * kUnit);
    }
  }
  return "";
}

std::string SharedBytes::read(int thread, const Clock& clock, int offset, int count, void* to) {
  if (std::string fault = check_place(offset, count); !fault.empty()) {
    std::memset(to, 0xFF, static_cast<size_t>(count));
    return fault;
  }
  std::memcpy(to, &bytes_[static_cast<size_t>(offset)], static_cast<size_t>(count));
  for (int unit = offset / kUnit; unit < (offset + count) / kUnit; ++unit) {
    if (std::string fault = check_order(unit, clock, thread, false); !fault.empty()) return fault;
    if (units_[static_cast<size_t>(unit)].written.time == 0)
      return "read of what was never written" + at_byte(unit * kUnit);
    const int last = unit * warps_ + thread / kWarp;
    reads_[static_cast<size_t>(last)] = {static_cast<uint16_t>(thread), clock[static_cast<size_t>(thread)]};
  }
  return "";
}

std::string SharedBytes::write(int thread, const Clock& clock, int offset, int count, const void* from) {
  if (std::string fault = begin_copy(thread, clock, offset, count); !fault.empty()) return fault;
  complete_copy(thread, clock, offset, count, from);
  return "";
}

std::string SharedBytes::begin_copy(int thread, const Clock& clock, int offset, int count) {
  if (std::string fault = check_place(offset, count); !fault.empty()) return fault;
  for (int unit = offset / kUnit; unit < (offset + count) / kUnit; ++unit) {
    if (std::string fault = check_order(unit, clock, thread, true); !fault.empty()) return fault;
    units_[static_cast<size_t>(unit)].copying = true;
  }
  return "";
}

void SharedBytes::complete_copy(int thread, const Clock& clock, int offset, int count, const void* from) {
  std::memcpy(&bytes_[static_cast<size_t>(offset)], from, static_cast<size_t>(count));
  for (int unit = offset / kUnit; unit < (offset + count) / kUnit; ++unit) {
    units_[static_cast<size_t>(unit)] = {{static_cast<uint16_t>(thread), clock[static_cast<size_t>(thread)]},
                                         false};
  }
}

void SharedBytes::complete_tensor_copy(int number, uint32_t phase, int offset,
                                       const std::vector<std::byte>& from) {
  std::memcpy(&bytes_[static_cast<size_t>(offset)], from.data(), from.size());
  for (int unit = offset / kUnit; unit < (offset + static_cast<int>(from.size())) / kUnit; ++unit)
    units_[static_cast<size_t>(unit)] = {{static_cast<uint16_t>(threads_ + number), phase}, false};
}

}  // namespace brume::kernels::device::host
