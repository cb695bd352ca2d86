#pragma once
#include <cstdint>
#include <string>

#include "brume/batch/slot_table.h"

namespace brume::batch {

/// How often each text was seen, eight bytes a slot: 48 bits of its hash and a count. A million texts take 11
/// MB. Two texts with the same 48 bits (of a million, one pair in five hundred files) count as one, which
/// here only changes a number nobody chose.
class Occurrences {
 public:
  struct Seen {
    uint64_t hash;    // of the text: the same on every machine
    uint32_t before;  // how often it was seen
  };
  /// Throws kInputInvalid for a text seen more than 16,777,214 times.
  Seen count(const std::string& text);

 private:
  struct Slot {
    static constexpr int kMarkBits = 40;
    static constexpr int kCountBits = 24;

    bool is_free() const { return bits == 0; }
    uint64_t mark() const { return bits >> kCountBits; }

    uint64_t bits = 0;  // the mark, and below it a count of one or more
  };

  SlotTable<Slot> slots_;
};

}  // namespace brume::batch
