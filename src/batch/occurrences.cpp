#include "brume/batch/occurrences.h"

#include "brume/base/digest.h"
#include "brume/base/error.h"

namespace brume::batch {

Occurrences::Seen Occurrences::count(const std::string& text) {
  constexpr uint64_t kCountMask = (uint64_t{1} << Slot::kCountBits) - 1;
  const uint64_t hash = short_digest(text);
  Slot& slot = slots_.insert(hash);
  if (slot.is_free()) slot.bits = SlotTable<Slot>::mark_of(hash) << Slot::kCountBits;
  const uint64_t seen = slot.bits & kCountMask;
  if (seen == kCountMask) {
    throw Error(ExitCode::kInputInvalid, "the jobs", "the same one more than 16,777,214 times",
                "give the pictures seeds of their own");
  }
  ++slot.bits;
  return {hash, static_cast<uint32_t>(seen)};
}

}  // namespace brume::batch
