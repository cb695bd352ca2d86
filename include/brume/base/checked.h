#pragma once
#include <cstdint>
#include <optional>

namespace brume {

/// Sums and products of sizes that come from a file: nothing where the result does not fit. Every size that a
/// file states goes through these, because a wrapped product is how readers of such files break.
inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

}  // namespace brume
