#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "brume/batch/job_key.h"

namespace brume::batch {

/// A number for each key, 24 bytes a slot and nothing else: a million keys in 48 MB at most. (A node of
/// std::unordered_map takes 56, each in a block of its own.)
class KeyTable {
 public:
  static constexpr uint64_t kNone = UINT64_MAX;

  void set(const JobKey& key, uint64_t value);  // not kNone
  std::optional<uint64_t> find(const JobKey& key) const;
  size_t size() const { return used_; }
  /// Makes room for so many keys. To be called before many are set in the order of another table, which
  /// would crowd one end of a small one.
  void reserve(size_t keys);

  template <class Visit>
  void each(Visit visit) const {
    for (const Slot& slot : slots_) {
      if (slot.value != kNone) visit(slot.key, slot.value);
    }
  }

 private:
  struct Slot {
    JobKey key;
    uint64_t value = kNone;
  };
  static Slot& slot_of(std::vector<Slot>& slots, const JobKey& key);
  void move_to(size_t slots);

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace brume::batch
