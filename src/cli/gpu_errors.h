#pragma once
#include <optional>
#include <string>

#include "brume/base/error.h"

namespace brume::cli {

/// A call of CUDA that failed.
struct FailedCall {
  int code;              // a cudaError_t
  std::string text;      // "CUDA error: an illegal memory access was encountered", and lines of advice
  std::string function;  // that noticed it; may be empty
};

/// What it means to the program's caller: kUsage where this GPU, its driver or this brume will never do,
/// kOutOfMemory, or kGpuFault for what may go well another time.
Error gpu_error(const FailedCall& call);
/// Of the words that libtorch has for a GPU's memory.
Error gpu_out_of_memory(const std::string& text);
/// Of the words of cuBLAS, cuDNN and CUDA's driver; nothing for others.
std::optional<Error> gpu_library_error(const std::string& text);

}  // namespace brume::cli
