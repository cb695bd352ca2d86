#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace brume::batch {

/// Lets several threads work at a time, and hand over what they made in the order in which it was given to
/// them: numbers from 0, each given once, the lower first.
class InTurn {
 public:
  /// One thread's hold on its number: at its end the next one has its turn, whatever became of this one.
  class Turn {
   public:
    Turn(InTurn& line, uint64_t number) : line_(line), number_(number) {}
    ~Turn() {
      wait();
      const std::lock_guard lock(line_.mutex_);
      ++line_.next_;
      line_.changed_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    /// Until all numbers before it are through.
    void wait() const {
      std::unique_lock lock(line_.mutex_);
      line_.changed_.wait(lock, [this] { return line_.next_ == number_; });
    }

   private:
    InTurn& line_;
    uint64_t number_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0;
};

}  // namespace brume::batch
