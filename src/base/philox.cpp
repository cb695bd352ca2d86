#include "brume/base/philox.h"

#include <array>
#include <cmath>
#include <numbers>

namespace brume {

namespace {

using Counter = std::array<uint32_t, 4>;

struct Product {
  uint32_t low;
  uint32_t high;
};

Product product(uint32_t a, uint32_t b) {
  const uint64_t both = uint64_t{a} * b;
  return {static_cast<uint32_t>(both), static_cast<uint32_t>(both >> 32)};
}

Counter philox_round(const Counter& counter, uint32_t key_low, uint32_t key_high) {
  const Product first = product(counter[0], 0xD2511F53);
  const Product second = product(counter[2], 0xCD9E8D57);
  return {second.high ^ counter[1] ^ key_low, second.low, first.high ^ counter[3] ^ key_high, first.low};
}

Counter philox_10(Counter counter, uint64_t seed) {
  constexpr int kRounds = 10;
  auto low = static_cast<uint32_t>(seed);
  auto high = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < kRounds; ++i) {
    counter = philox_round(counter, low, high);
    low += 0x9E3779B9;
    high += 0xBB67AE85;
  }
  return counter;
}

/// In fp32, as cuRAND has it.
float box_muller(uint32_t x, uint32_t y) {
  constexpr float kUnit = 0x1p-32F;
  constexpr float kTurn = kUnit * (2 * std::numbers::pi_v<float>);
  const float u = static_cast<float>(x) * kUnit + kUnit / 2;
  const float v = static_cast<float>(y) * kTurn + kTurn / 2;
  return std::sqrt(-2 * std::log(u)) * std::sin(v);
}

}  // namespace

void Philox::normal(std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Counter random = philox_10({offset_, 0, static_cast<uint32_t>(i), 0}, seed_);
    values[i] = box_muller(random[0], random[1]);
  }
  ++offset_;
}

}  // namespace brume
