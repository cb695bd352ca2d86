#pragma once
#include <c10/core/ScalarType.h>

#include <memory>
#include <optional>
#include <string>

#include "engine_options.h"
#include "kernels/gpu/gpu.h"

namespace brume::cli {

/// What the options --device and --dtype come to on this machine.
struct Compute {
  at::ScalarType dtype;
  std::string device;                            // "cpu", "cuda:0", as recipes have it
  std::shared_ptr<const kernels::gpu::Gpu> gpu;  // null: the CPU, or others draw

  bool on_cpu() const { return device == "cpu"; }
  /// As what the model's memory is to be estimated. A GPU has an autoencoder that fp16 overflows in bf16,
  /// which takes as much; the processor has it in fp32.
  at::ScalarType estimate_dtype() const {
    return !on_cpu() && dtype == at::ScalarType::Half ? at::ScalarType::BFloat16 : dtype;
  }
  /// Bytes of memory that drawing can have where it is done; nothing where that is not known, as of other
  /// processes' GPUs.
  std::optional<double> free_memory() const;
  /// The most bytes that were held there at a time.
  int64_t peak_memory() const;
};

/// Opens the GPU that the options ask for, or with "auto" the first one that answers, if there is one, in
/// fp16 where no dtype is asked for; else the CPU, in fp32, with a note where a GPU should have answered.
/// Must come before the first tensor: libtorch asks once whether it has CUDA. Throws kUsage where a GPU is
/// asked for and none answers.
Compute open_compute(const EngineOptions& engine);
/// What they come to in other processes that draw on `device`: nothing is opened. Throws kUsage where no GPU
/// can be opened here in any case.
Compute compute_of(const EngineOptions& engine, const std::string& device);

}  // namespace brume::cli
