#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace brume::batch {

/// Slots that are found by a hash of which each keeps a part only: two hashes that agree in their first
/// 8 + Slot::kMarkBits bits are one. The slots lie in parts that grow by an eighth and at different times, so
/// that growing takes next to no memory beside the table, of which three quarters are used.
///
/// A Slot is free when made, and has `bool is_free() const` and `uint64_t mark() const`: the kMarkBits bits
/// after the first 8 of its hash.
template <class Slot>
class SlotTable {
 public:
  /// The slot of `hash`, or the free one where it belongs, which the caller must fill. Others may move.
  Slot& insert(uint64_t hash) {
    Part& part = parts_[part_of(hash)];
    if (10 * (part.used + 1) > 8 * part.slots.size()) grow(part, part_of(hash));
    Slot& slot = walk(part.slots, mark_of(hash));
    if (slot.is_free()) {
      ++part.used;
      ++used_;
    }
    return slot;
  }

  /// Nothing for a hash that was not inserted.
  const Slot* find(uint64_t hash) const {
    const Part& part = parts_[part_of(hash)];
    if (part.slots.empty()) return nullptr;
    // The same walk for reading and writing.
    const Slot& slot = walk(const_cast<std::vector<Slot>&>(part.slots), mark_of(hash));
    return slot.is_free() ? nullptr : &slot;
  }

  size_t size() const { return used_; }

  /// Of the slot that `hash` belongs in.
  static uint64_t mark_of(uint64_t hash) { return hash << kPartBits >> (64 - Slot::kMarkBits); }

 private:
  struct Part {
    std::vector<Slot> slots;
    size_t used = 0;
  };
  static constexpr int kPartBits = 8;
  static constexpr size_t kParts = size_t{1} << kPartBits;

  static size_t part_of(uint64_t hash) { return hash >> (64 - kPartBits); }

  static Slot& walk(std::vector<Slot>& slots, uint64_t mark) {
    __extension__ using Wide = unsigned __int128;
    auto at = static_cast<size_t>(Wide{mark} * slots.size() >> Slot::kMarkBits);
    while (!slots[at].is_free() && slots[at].mark() != mark) at = at + 1 == slots.size() ? 0 : at + 1;
    return slots[at];
  }

  static void grow(Part& part, size_t number) {
    // From 64 to 71, an eighth apart: the parts' sizes never are the same.
    const size_t first = 64 + 8 * number / kParts;
    std::vector<Slot> larger(part.slots.empty() ? first : part.slots.size() + part.slots.size() / 8);
    for (const Slot& slot : part.slots) {
      if (!slot.is_free()) walk(larger, slot.mark()) = slot;
    }
    part.slots = std::move(larger);
  }

  std::array<Part, kParts> parts_;
  size_t used_ = 0;
};

}  // namespace brume::batch
