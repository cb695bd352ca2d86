#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "brume/weights/tensor_loader.h"

namespace brume {

/// Reads with several threads at once: one alone copies out of the system's cache of a file more slowly than
/// a GPU takes it.
class ParallelReader {
 public:
  /// What a thread reads at a time.
  static constexpr size_t kUsualChunk = size_t{1} << 20;

  /// `threads`: the caller's among them, at least 1. Throws kOutOfMemory where there is no room for them.
  explicit ParallelReader(size_t threads, size_t chunk = kUsualChunk);
  ~ParallelReader();
  ParallelReader(const ParallelReader&) = delete;
  ParallelReader& operator=(const ParallelReader&) = delete;

  /// Fills `out` with what `reader` gives from byte `first` on. Where that throws, the first such place's
  /// exception is thrown; nobody touches `out` any more then. For one thread at a time.
  void read(const PartReader& reader, uint64_t first, std::span<std::byte> out);

 private:
  struct Failure {
    uint64_t first;
    std::exception_ptr exception;
  };

  void help();
  void end();
  void take_chunks(std::unique_lock<std::mutex>& lock);

  const size_t chunk_;
  std::mutex mutex_;  // of all below
  std::condition_variable wake_;
  std::condition_variable done_;
  const PartReader* reader_ = nullptr;
  uint64_t first_ = 0;         // of the rest
  std::span<std::byte> rest_;  // that nobody has taken
  size_t busy_ = 0;            // threads that read a chunk
  std::optional<Failure> failure_;
  bool ended_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace brume
