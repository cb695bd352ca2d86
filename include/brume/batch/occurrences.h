#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace brume::batch {

/// How often each text was seen, eight bytes a slot: 40 bits of its hash and a count. A million texts take 16
/// MB. Two texts with the same 40 bits (of a million, one pair in two files) count as one, which here only
/// changes a number nobody chose.
class Occurrences {
 public:
  struct Seen {
    uint64_t hash;    // of the text: the same on every machine
    uint32_t before;  // how often it was seen
  };
  /// Throws kInputInvalid for a text seen more than 16,777,214 times.
  Seen count(const std::string& text);

 private:
  void grow();

  std::vector<uint64_t> slots_;  // 0: free
  size_t used_ = 0;
};

}  // namespace brume::batch
