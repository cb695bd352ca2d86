#include "src/pipeline/parallel_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace brume {
namespace {

std::byte byte_at(uint64_t place) { return static_cast<std::byte>(place * 7 + place / 251); }

void fill(uint64_t first, std::span<std::byte> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = byte_at(first + i);
}

bool is_filled(uint64_t first, std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != byte_at(first + i)) return false;
  }
  return true;
}

TEST(ParallelReader, FillsPiecesOfAnySize) {
  for (const size_t threads : {1, 2, 5}) {
    ParallelReader reader(threads, 8);
    for (const size_t size : {0, 1, 7, 8, 9, 16, 100, 4099}) {
      std::vector<std::byte> bytes(size);
      reader.read(fill, 3 * size, bytes);
      EXPECT_TRUE(is_filled(3 * size, bytes)) << size << " bytes by " << threads;
    }
  }
}

TEST(ParallelReader, AllThreadsReadAtOnce) {
  constexpr size_t kThreads = 4;
  std::barrier all_here(kThreads);  // or this waits for ever
  ParallelReader reader(kThreads, 8);
  std::vector<std::byte> bytes(8 * kThreads * 3);
  reader.read(
      [&](uint64_t first, std::span<std::byte> out) {
        all_here.arrive_and_wait();
        fill(first, out);
      },
      0, bytes);
  EXPECT_TRUE(is_filled(0, bytes));
}

TEST(ParallelReader, WhatIsShortWakesNobody) {
  ParallelReader reader(4, 8);
  std::vector<std::byte> bytes(8);
  std::set<std::thread::id> readers;
  reader.read([&](uint64_t, std::span<std::byte>) { readers.insert(std::this_thread::get_id()); }, 0, bytes);
  EXPECT_EQ(readers, std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(ParallelReader, ThrowsTheFirstFailureByItsPlaceAndGoesOn) {
  ParallelReader reader(4, 8);
  std::vector<std::byte> bytes(400);
  for (int round = 0; round < 300; ++round) {
    const uint64_t from = static_cast<uint64_t>(round % 50) * 8;
    std::string message;
    try {
      reader.read(
          [&](uint64_t first, std::span<std::byte> out) {
            if (first >= from) throw std::runtime_error(std::to_string(first));
            fill(first, out);
          },
          0, bytes);
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    EXPECT_EQ(message, std::to_string(from));
    std::fill(bytes.begin(), bytes.end(), std::byte{});
    reader.read(fill, 5, bytes);
    EXPECT_TRUE(is_filled(5, bytes));
  }
}

}  // namespace
}  // namespace brume
