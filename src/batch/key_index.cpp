#include "brume/batch/key_index.h"

namespace brume::batch {

KeyIndex::Slot::Slot(uint64_t mark, uint64_t value)
    : mark_(static_cast<uint32_t>(mark)),
      value_(static_cast<uint32_t>(value)),
      both_(static_cast<uint32_t>(mark >> kLowBits << kHighValueBits | value >> kLowBits)) {}

void KeyIndex::set(const JobKey& key, uint64_t value) {
  slots_.insert(key.prefix()) = Slot(SlotTable<Slot>::mark_of(key.prefix()), value);
}

std::optional<uint64_t> KeyIndex::find(const JobKey& key) const {
  const Slot* slot = slots_.find(key.prefix());
  return slot == nullptr ? std::nullopt : std::optional(slot->value());
}

}  // namespace brume::batch
