#include "brume/batch/occurrences.h"

#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"

namespace brume::batch {

namespace {

constexpr int kCountBits = 24;
constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
constexpr size_t kFirstSlots = 1024;

/// The slot of these bits, or the free one where they belong.
uint64_t& slot_of(std::vector<uint64_t>& slots, uint64_t mark) {
  size_t place = (mark >> kCountBits) % slots.size();
  while (slots[place] != 0 && (slots[place] & ~kCountMask) != mark) place = (place + 1) % slots.size();
  return slots[place];
}

}  // namespace

Occurrences::Seen Occurrences::count(const std::string& text) {
  if (2 * used_ >= slots_.size()) grow();
  const uint64_t hash = short_digest(text);
  const uint64_t mark = hash & ~kCountMask;
  uint64_t& slot = slot_of(slots_, mark);
  if (slot == 0) {
    ++used_;
    slot = mark;  // and from here on a count of one or more
  }
  const uint64_t seen = slot & kCountMask;
  if (seen == kCountMask) {
    throw Error(ExitCode::kInputInvalid, "the jobs", "the same one more than 16,777,214 times",
                "give the pictures seeds of their own");
  }
  ++slot;
  return {hash, static_cast<uint32_t>(seen)};
}

void Occurrences::grow() {
  std::vector<uint64_t> larger(slots_.empty() ? kFirstSlots : 2 * slots_.size());
  for (const uint64_t slot : slots_) {
    if (slot != 0) slot_of(larger, slot & ~kCountMask) = slot;
  }
  slots_ = std::move(larger);
}

}  // namespace brume::batch
