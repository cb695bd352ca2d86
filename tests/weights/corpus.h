#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace brume::testing_corpus {

enum class Verdict { kAccept, kReject };

/// One hand-made file. `rule` is the row of the rule table it belongs to, S01 to S38.
struct Case {
  std::string rule;
  std::string name;
  Verdict verdict;
  std::string message;                 // a part of the error, for kReject
  std::function<std::string()> bytes;  // made when asked for: some are 100 MB
};

/// The bytes of a file: length, header, data.
std::string safetensors_bytes(std::string_view header, std::string_view data);
/// `value` as 8 little-endian bytes.
std::string length_bytes(uint64_t value);

std::vector<Case> safetensors_corpus();

}  // namespace brume::testing_corpus
