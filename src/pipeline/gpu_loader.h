#pragma once
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "brume/weights/tensor_loader.h"
#include "kernels/gpu/gpu.h"
#include "parallel_reader.h"

namespace brume {

/// How a GpuLoader goes about it.
struct LoaderSizes {
  size_t slot = size_t{16} << 20;  // bytes of a slot of the ring, a multiple of 256
  size_t slots = 4;                // made when first needed
  size_t threads = 4;              // that read
  size_t chunk = ParallelReader::kUsualChunk;
};

/// Brings tensors onto a GPU through a small ring of memory that it copies from by itself: while it copies
/// what was read, the next bytes are read beside it, by several threads. For one thread at a time; ends when
/// all is copied.
class GpuLoader : public TensorLoader {
 public:
  explicit GpuLoader(std::shared_ptr<const kernels::gpu::Gpu> gpu, const LoaderSizes& sizes = {});

  at::Tensor load(at::IntArrayRef shape, at::ScalarType type, const PartReader& read) override;

 private:
  struct Slot {
    std::unique_ptr<kernels::gpu::Staging> memory;
    size_t used = 0;
  };
  Slot& slot_with_room();

  std::shared_ptr<const kernels::gpu::Gpu> gpu_;
  LoaderSizes sizes_;
  std::vector<Slot> slots_;
  size_t current_ = 0;
  ParallelReader reader_;
};

/// A loader onto `gpu`; null where that is: the CPU needs none.
std::shared_ptr<TensorLoader> loader_onto(std::shared_ptr<const kernels::gpu::Gpu> gpu);

/// One for all networks that are opened together; what is opened later has its own. `gpu` may be null.
class Loaders {
 public:
  explicit Loaders(std::shared_ptr<const kernels::gpu::Gpu> gpu)
      : gpu_(std::move(gpu)), shared_(loader_onto(gpu_)) {}

  std::shared_ptr<TensorLoader> one() const { return shared_ ? shared_ : loader_onto(gpu_); }
  /// Gives up the memory of the one. Before others ask from other threads.
  void all_are_open() { shared_.reset(); }

 private:
  std::shared_ptr<const kernels::gpu::Gpu> gpu_;
  std::shared_ptr<TensorLoader> shared_;
};

}  // namespace brume
