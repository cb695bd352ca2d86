#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace brume::kernels::gpu {

/// Work that was recorded once and is started as a whole.
class Graph {
 public:
  virtual ~Graph() = default;
  /// Starts it behind what the caller's thread has started before; does not wait for it.
  virtual void replay() = 0;
};

/// A place in a thread's work.
class Mark {
 public:
  virtual ~Mark() = default;
  /// Until all that was started before it is done.
  virtual void wait() = 0;
};

/// Memory of the processor, from which the GPU copies while the processor goes on. Of one thread at a time.
/// Goes when all that was sent is copied.
class Staging {
 public:
  virtual ~Staging() = default;
  virtual std::span<std::byte> bytes() = 0;
  /// Starts to copy the bytes from `first` on into all of `to`, a contiguous tensor on the GPU, behind what
  /// the caller's thread has started before. Until wait() they must stay as they are.
  virtual void send(size_t first, const at::Tensor& to) = 0;
  /// Until all that was sent is copied.
  virtual void wait() = 0;
};

/// Is told of memory at an address that a tensor has taken, or, `bytes` below zero, let go.
using MemoryWatcher = std::function<void(uint64_t address, int64_t bytes)>;

struct Properties {
  std::string name;    // "NVIDIA H100 80GB HBM3"
  c10::Device device;  // where its tensors are
  int32_t capability;  // 90 for compute capability 9.0
  int64_t memory_bytes;
};

/// All that the engine asks of a GPU beside operations on tensors (operations.h). The plug-in has the one
/// body, the tests another. May be used from several threads.
class Gpu {
 public:
  virtual ~Gpu() = default;
  virtual const Properties& properties() const = 0;
  /// Bytes that a tensor can still have.
  virtual int64_t free_memory() const = 0;
  /// The most bytes that tensors have held at a time.
  virtual int64_t peak_memory() const = 0;
  /// Runs `work` once, then records it. It must read and write the same memory whenever it is run, and wait
  /// for nothing: inputs are written into tensors that it reads, and its results lie where they lay when it
  /// was recorded, until the graph goes. So long there must be what it refers to.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>& work) const = 0;
  /// Behind all that the caller's thread has started.
  virtual std::unique_ptr<Mark> mark() const = 0;
  /// Of so many bytes, more than 0. Costs some 0.3 ms a megabyte, so keep it.
  virtual std::unique_ptr<Staging> staging(size_t bytes) const = 0;
  /// Gives the memory of tensors that are gone to whoever asks next, be it for something else than a tensor.
  virtual void give_back() const = 0;
  /// A copy in memory of the machine's own that this GPU can fetch from while it works.
  virtual at::Tensor host_copy(const at::Tensor& tensor) const = 0;
  /// Tells `watcher`, from now on until the process ends, of all memory of tensors: from any thread, and
  /// before that one goes on. It may not ask this GPU for anything.
  virtual void watch_memory(const MemoryWatcher& watcher) const = 0;
  /// Waits for all that was started.
  virtual void synchronize() const = 0;
};

/// What the plug-in exports as kGpuDoor: opens device `index`. What was measured of its products is kept in
/// `cache`, or where that is empty nowhere; `on_measuring` is called when the first product was measured that
/// is not there, on the thread that draws. Throws std::runtime_error, one line, where there is none that
/// answers.
using GpuDoor = std::unique_ptr<Gpu>(int32_t index, const std::filesystem::path& cache,
                                     const std::function<void()>& on_measuring);
inline constexpr const char* kGpuDoor = "brume_open_gpu";

}  // namespace brume::kernels::gpu
