#include "parallel_reader.h"

#include <algorithm>
#include <utility>

#include "brume/base/threads.h"

namespace brume {

ParallelReader::ParallelReader(size_t threads, size_t chunk) : chunk_(chunk) {
  try {
    for (size_t i = 1; i < threads; ++i) helpers_.push_back(start_thread([this] { help(); }));
  } catch (...) {
    end();
    throw;
  }
}

ParallelReader::~ParallelReader() { end(); }

void ParallelReader::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ParallelReader::read(const PartReader& reader, uint64_t first, std::span<std::byte> out) {
  if (out.size() <= chunk_) {  // it is read before another thread is awake
    reader(first, out);
    return;
  }
  std::unique_lock lock(mutex_);
  reader_ = &reader;
  first_ = first;
  rest_ = out;
  wake_.notify_all();
  take_chunks(lock);
  done_.wait(lock, [this] { return busy_ == 0; });
  if (const std::optional<Failure> failure = std::exchange(failure_, std::nullopt))
    std::rethrow_exception(failure->exception);
}

void ParallelReader::help() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ended_ || !rest_.empty(); });
    if (ended_) return;
    take_chunks(lock);
    if (busy_ == 0) done_.notify_one();
  }
}

/// Until there are none, or one has failed: those before it are taken already.
void ParallelReader::take_chunks(std::unique_lock<std::mutex>& lock) {
  while (!rest_.empty()) {
    const std::span<std::byte> chunk = rest_.first(std::min(chunk_, rest_.size()));
    const uint64_t first = first_;
    rest_ = rest_.subspan(chunk.size());
    first_ += chunk.size();
    ++busy_;
    lock.unlock();
    std::exception_ptr failed;
    try {
      (*reader_)(first, chunk);
    } catch (...) {
      failed = std::current_exception();
    }
    lock.lock();
    --busy_;
    if (!failed) continue;
    rest_ = {};
    if (!failure_ || first < failure_->first) failure_ = Failure{first, std::move(failed)};
  }
}

}  // namespace brume
