#pragma once
#include <ATen/core/Tensor.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace brume::kernels::gpu {

/// The small scratch memories of the products of one recording, each product's own for as long as the graph
/// lives. Many of the libraries' kernels count in there which part of the product comes next, and have it
/// zeroed before each launch: between two kernels of a graph that takes some 5 us on an H100, and is needed
/// but once a replay where nobody else writes there.
class Scratch {
 public:
  /// For what the caller's thread records on `device` until it is recorded.
  explicit Scratch(c10::Device device);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Lets the graph zero all of it at once before anything else, instead of product by product. To be called
  /// once, before it is instantiated.
  void zero_at_once(cudaGraph_t graph);
  /// Nobody records into it any more. What it gave out stays.
  void close();

 private:
  friend at::Tensor scratch(int64_t bytes, const at::Tensor& like);
  at::Tensor take(int64_t bytes);
  bool holds(const void* address) const;

  at::Tensor memory_;  // uint8
  int64_t taken_ = 0;
  Scratch* outer_;  // of the thread
};

/// Scratch memory of a product on `like`'s device, for one launch on the current stream: of the recording
/// under way where it is small, else whatever is free.
at::Tensor scratch(int64_t bytes, const at::Tensor& like);

}  // namespace brume::kernels::gpu
