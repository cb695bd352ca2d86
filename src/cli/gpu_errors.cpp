#include "gpu_errors.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace brume::cli {

namespace {

constexpr const char* kWhere = "the GPU";

/// What is to be done about some of CUDA's errors, by number as they have no header here.
struct Cure {
  ExitCode code;
  const char* remedy;
  std::array<int, 8> errors;  // 0: none
};

constexpr const char* kLessMemory =
    "use a smaller size, a smaller --batch-size, --vae-tiling, --dtype fp16 or --device cpu";
constexpr const char* kAgain =
    "start again; if it comes again, see what nvidia-smi and the system's log say of it, or use --device cpu";

constexpr std::array kCures{
    Cure{ExitCode::kOutOfMemory, kLessMemory, {2}},  // MemoryAllocation
    // NoDevice, InvalidDevice, DeviceNotLicensed
    Cure{ExitCode::kUsage, "see which GPUs nvidia-smi lists, or use --device cpu", {100, 101, 102}},
    // DevicesUnavailable, DeviceAlreadyInUse: another process has it for itself
    Cure{ExitCode::kGpuFault,
         "see with nvidia-smi who uses it, and in which compute mode, or use --device cpu",
         {46, 216}},
    // StubLibrary, InsufficientDriver, CallRequiresNewerDriver, IncompatibleDriverContext,
    // UnsupportedPtxVersion, SystemDriverMismatch, CompatNotSupportedOnDevice
    Cure{ExitCode::kUsage,
         "install a newer NVIDIA driver, of one version with its libraries, or use --device cpu",
         {34, 35, 36, 49, 222, 803, 804}},
    // InvalidDeviceFunction, InvalidKernelImage, NoKernelImageForDevice, InvalidPtx, JitCompilerNotFound,
    // JitCompilationDisabled
    Cure{ExitCode::kUsage,
         "build brume for this GPU (BRUME_CUDA_ARCHITECTURES), or use --device cpu",
         {98, 200, 209, 218, 221, 223}},
    // ECCUncorrectable, NvlinkUncorrectable, Contained, HardwareStackError
    Cure{ExitCode::kGpuFault,
         "reset the GPU or restart the machine, and see what nvidia-smi -q says of it",
         {214, 220, 226, 714}},
    // LaunchTimeout, Timeout: somebody watches over the GPU
    Cure{ExitCode::kGpuFault, "use a smaller size, or a GPU that has no display", {702, 909}},
    Cure{ExitCode::kGpuFault,
         "start what runs beside the driver, as NVIDIA's fabric manager, or restart the machine",
         {802}},  // SystemNotReady
    // Mps...
    Cure{ExitCode::kGpuFault,
         "see to nvidia-cuda-mps-control, or run without it",
         {805, 806, 807, 808, 809, 810}},
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// What stands between two words; empty where they are not there.
std::string between(const std::string& text, std::string_view before, std::string_view after) {
  const size_t found = text.find(before);
  if (found == std::string::npos) return {};
  const size_t begin = found + before.size();
  const size_t end = text.find(after, begin);
  return end == std::string::npos ? std::string() : text.substr(begin, end - begin);
}

std::string without_prefix(const std::string& text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

bool names_any(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

}  // namespace

Error gpu_error(const FailedCall& call) {
  std::string problem = without_prefix(first_line(call.text), "CUDA error: ");
  std::string which = between(call.text, "Search for `", "'");
  if (which.empty()) which = "CUDA's error " + std::to_string(call.code);
  if (!call.function.empty()) which += ", in " + call.function;
  problem += " (" + which + ")";
  for (const Cure& cure : kCures) {
    if (call.code != 0 && std::find(cure.errors.begin(), cure.errors.end(), call.code) != cure.errors.end())
      return {cure.code, kWhere, problem, cure.remedy};
  }
  return {ExitCode::kGpuFault, kWhere, problem, kAgain};
}

Error gpu_out_of_memory(const std::string& text) {
  std::string problem = "out of memory";
  const std::string asked = between(text, "Tried to allocate ", ". ");
  const std::string free = between(text, "of which ", " is free");
  if (!asked.empty() && !free.empty()) problem += ": " + asked + " were asked for, " + free + " are free";
  return {ExitCode::kOutOfMemory, kWhere, problem, kLessMemory};
}

std::optional<Error> gpu_library_error(const std::string& text) {
  const std::string line = first_line(text);
  if (!names_any(line, {"CUDA error: ", "CUDA driver error: ", "cuDNN error: ", "CUBLAS_STATUS_",
                        "CUDNN_STATUS_"}) &&
      !line.starts_with("cuDNN: ") && !line.starts_with("cublasLt: "))
    return std::nullopt;
  // A handle that cannot be made mostly found no memory.
  const bool is_memory = names_any(line, {"ALLOC_FAILED", "out of memory", "CUBLAS_STATUS_NOT_INITIALIZED"});
  return Error(is_memory ? ExitCode::kOutOfMemory : ExitCode::kGpuFault, kWhere,
               without_prefix(line, "CUDA error: "), is_memory ? kLessMemory : kAgain);
}

}  // namespace brume::cli
