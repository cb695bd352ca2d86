#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "brume/batch/job_key.h"
#include "brume/batch/slot_table.h"

namespace brume::batch {

/// A number of 54 bits for each key, in 12 bytes a slot: a million keys in 16 MB. Of a key 50 bits are kept.
/// Two keys that agree in them (one pair in two thousand batches of a million) share the last number given to
/// either: who must be sure looks at what the number leads to.
class KeyIndex {
 public:
  static constexpr int kValueBits = 54;

  void set(const JobKey& key, uint64_t value);  // not 54 ones
  std::optional<uint64_t> find(const JobKey& key) const;
  size_t size() const { return slots_.size(); }

 private:
  /// 42 bits of mark and 54 of value, all ones where it is free.
  class Slot {
   public:
    static constexpr int kMarkBits = 42;

    Slot() = default;
    Slot(uint64_t mark, uint64_t value);
    bool is_free() const { return value() == (uint64_t{1} << kValueBits) - 1; }
    uint64_t mark() const { return uint64_t{both_} >> kHighValueBits << kLowBits | mark_; }
    uint64_t value() const { return uint64_t{both_ & kHighValueMask} << kLowBits | value_; }

   private:
    static constexpr int kLowBits = 32;
    static constexpr int kHighValueBits = kValueBits - kLowBits;
    static constexpr uint32_t kHighValueMask = (uint32_t{1} << kHighValueBits) - 1;

    uint32_t mark_ = 0;
    uint32_t value_ = UINT32_MAX;
    uint32_t both_ = kHighValueMask;  // their upper bits
  };
  static_assert(sizeof(Slot) == 12);

  SlotTable<Slot> slots_;
};

}  // namespace brume::batch
