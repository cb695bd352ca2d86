#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <mutex>
#include <span>
#include <stdexcept>
#include <string>

#include "kernels/gpu/call.h"
#include "kernels/gpu/gpu.h"
#include "kernels/gpu/plan_store.h"
#include "kernels/gpu/scratch.h"

namespace brume::kernels::gpu {

namespace {

Properties properties_of(int32_t index) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0)
    throw std::runtime_error(std::string("no GPU answers: ") + cudaGetErrorString(error));
  if (index >= devices)
    throw std::runtime_error("there are " + std::to_string(devices) + " GPUs, counted from 0");
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, index), "the GPU's properties");
  return {device.name, c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)),
          10 * device.major + device.minor, static_cast<int64_t>(device.totalGlobalMem)};
}

class CudaGraph : public Graph {
 public:
  /// A stream of its own for the recording; what was started before is done before it, and the other way
  /// round.
  CudaGraph(c10::Device where, const std::function<void()>& work) : scratch_(where) {
    const c10::cuda::CUDAGuard device(where);
    const at::cuda::CUDAStream outside = at::cuda::getCurrentCUDAStream();
    const at::cuda::CUDAStream side = at::cuda::getStreamFromPool();
    at::cuda::CUDAEvent before;
    before.record(outside);
    before.block(side);
    {
      const c10::cuda::CUDAStreamGuard on_side(side);
      work();  // tunes what is new, and takes memory that the recording must not
      check(cudaStreamSynchronize(side), "the first run of a graph");
      c10::cuda::CUDACachingAllocator::emptyCache();  // the recording has memory of its own, as much again
      graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      try {
        work();
      } catch (...) {
        try {
          graph_.capture_end();
        } catch (const std::exception&) {  // it says less than the first error
        }
        throw;
      }
      graph_.capture_end();
      scratch_.close();
      scratch_.zero_at_once(graph_.raw_cuda_graph());
      graph_.instantiate();
    }
    at::cuda::CUDAEvent after;
    after.record(side);
    after.block(outside);
  }
  void replay() override { graph_.replay(); }

 private:
  Scratch scratch_;
  at::cuda::CUDAGraph graph_{/*keep_graph=*/true};
};

class CudaMark : public Mark {
 public:
  CudaMark() { event_.record(); }
  void wait() override { event_.synchronize(); }

 private:
  at::cuda::CUDAEvent event_;
};

class CudaStaging : public Staging {
 public:
  CudaStaging(c10::Device where, size_t bytes) : where_(where), bytes_(bytes) {
    const c10::cuda::CUDAGuard device(where_);
    check(cudaHostAlloc(&memory_, bytes, cudaHostAllocDefault), "memory to copy to the GPU from");
  }
  /// A failure is told by what comes next.
  ~CudaStaging() override {
    if (sent_.isCreated()) (void)cudaEventSynchronize(sent_.event());
    (void)cudaFreeHost(memory_);
  }
  CudaStaging(const CudaStaging&) = delete;
  CudaStaging& operator=(const CudaStaging&) = delete;

  std::span<std::byte> bytes() override { return {static_cast<std::byte*>(memory_), bytes_}; }

  void send(size_t first, const at::Tensor& to) override {
    const c10::cuda::CUDAGuard device(where_);
    check(cudaMemcpyAsync(to.mutable_data_ptr(), bytes().subspan(first, to.nbytes()).data(), to.nbytes(),
                          cudaMemcpyHostToDevice, current_stream()),
          "a copy to the GPU");
    sent_.record();
  }

  void wait() override { sent_.synchronize(); }

 private:
  c10::Device where_;
  size_t bytes_;
  void* memory_ = nullptr;
  at::cuda::CUDAEvent sent_;  // after the last copy
};

class CudaGpu : public Gpu {
 public:
  CudaGpu(int32_t index, const std::filesystem::path& cache, const std::function<void()>& on_measuring)
      : properties_(properties_of(index)) {
    keep_plans_in(cache, on_measuring);
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    // fp32 means fp32.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
  }

  ~CudaGpu() override { save_plans(); }
  CudaGpu(const CudaGpu&) = delete;
  CudaGpu& operator=(const CudaGpu&) = delete;

  const Properties& properties() const override { return properties_; }

  int64_t free_memory() const override {
    const c10::cuda::CUDAGuard device(properties_.device);
    size_t free = 0;
    size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "the GPU's free memory");
    const auto stats = device_stats();
    return static_cast<int64_t>(free) + stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
  }

  int64_t peak_memory() const override { return device_stats().reserved_bytes[0].peak; }

  std::unique_ptr<Graph> capture(const std::function<void()>& work) const override {
    const std::lock_guard lock(capturing_);
    std::unique_ptr<Graph> graph = captured(work);
    save_plans();  // its first run has measured them; whoever is killed later need not do so again
    return graph;
  }

  std::unique_ptr<Mark> mark() const override { return std::make_unique<CudaMark>(); }

  std::unique_ptr<Staging> staging(size_t bytes) const override {
    return std::make_unique<CudaStaging>(properties_.device, bytes);
  }

  void give_back() const override {
    const std::lock_guard lock(capturing_);  // libtorch forbids it while anybody records
    c10::cuda::CUDACachingAllocator::emptyCache();
  }

  /// Pinned: from other memory a copy waits for what was started before it, and no graph may hold it.
  at::Tensor host_copy(const at::Tensor& tensor) const override {
    const at::Tensor host = at::empty_like(tensor, tensor.options().device(c10::kCPU).pinned_memory(true));
    return host.copy_(tensor);
  }

  void watch_memory(const MemoryWatcher& watcher) const override {
    using c10::CachingDeviceAllocator::TraceEntry;
    const auto tell = [watcher, index = properties_.device.index()](const TraceEntry& entry) {
      const auto bytes = static_cast<int64_t>(entry.size_);
      if (entry.device_ != index) return;
      if (entry.action_ == TraceEntry::ALLOC) watcher(entry.addr_, bytes);
      if (entry.action_ == TraceEntry::FREE_COMPLETED) watcher(entry.addr_, -bytes);
    };
    c10::cuda::CUDACachingAllocator::attachAllocatorTraceTracker(tell);
  }

  void synchronize() const override {
    const c10::cuda::CUDAGuard device(properties_.device);
    check(cudaDeviceSynchronize(), "the GPU's work");
  }

 private:
  /// The driver has memory of its own for graphs, and says otherwise than libtorch that there is none.
  std::unique_ptr<Graph> captured(const std::function<void()>& work) const {
    try {
      return std::make_unique<CudaGraph>(properties_.device, work);
    } catch (const c10::AcceleratorError& error) {
      if (error.get_error_code() != cudaErrorMemoryAllocation) throw;
      cudaGetLastError();
      C10_THROW_ERROR(OutOfMemoryError, error.what_without_backtrace());
    }
  }

  c10::CachingDeviceAllocator::DeviceStats device_stats() const {
    return c10::cuda::CUDACachingAllocator::getDeviceStats(properties_.device.index());
  }

  Properties properties_;
  mutable std::mutex capturing_;
};

}  // namespace

extern "C" std::unique_ptr<Gpu> brume_open_gpu(int32_t index, const std::filesystem::path& cache,
                                               const std::function<void()>& on_measuring) {
  return std::make_unique<CudaGpu>(index, cache, on_measuring);
}

static_assert(std::is_same_v<decltype(brume_open_gpu), GpuDoor>);

}  // namespace brume::kernels::gpu
