#include "brume/batch/key_table.h"

#include <algorithm>
#include <utility>

namespace brume::batch {

/// Where `key` is, or the free slot it belongs in. A slot's place follows the key's order, so that any number
/// of slots will do.
KeyTable::Slot& KeyTable::slot_of(std::vector<Slot>& slots, const JobKey& key) {
  __extension__ using Wide = unsigned __int128;
  auto at = static_cast<size_t>(Wide{key.prefix()} * slots.size() >> 64);
  while (slots[at].value != kNone && slots[at].key != key) at = at + 1 == slots.size() ? 0 : at + 1;
  return slots[at];
}

void KeyTable::move_to(size_t slots) {
  constexpr size_t kLeast = 16384;  // 384 KiB: a batch of ten thousand needs no more
  std::vector<Slot> larger(std::max(kLeast, slots));
  for (const Slot& slot : slots_) {
    if (slot.value != kNone) slot_of(larger, slot.key) = slot;
  }
  slots_ = std::move(larger);
}

void KeyTable::reserve(size_t keys) {
  const size_t slots = keys + keys / 2;
  if (slots > slots_.size()) move_to(slots);
}

void KeyTable::set(const JobKey& key, uint64_t value) {
  if (10 * (used_ + 1) > 8 * slots_.size()) move_to(slots_.size() + slots_.size() / 2);
  Slot& slot = slot_of(slots_, key);
  if (slot.value == kNone) ++used_;
  slot = {key, value};
}

std::optional<uint64_t> KeyTable::find(const JobKey& key) const {
  if (slots_.empty()) return std::nullopt;
  // The same walk for reading and writing.
  const Slot& slot = slot_of(const_cast<std::vector<Slot>&>(slots_), key);
  return slot.value == kNone ? std::nullopt : std::optional(slot.value);
}

}  // namespace brume::batch
