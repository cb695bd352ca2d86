#include "src/cli/torch_errors.h"

#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "message_of.h"

// What libtorch throws, as the program's exit codes and lines.
namespace brume::cli {
namespace {

/// What the program makes of something thrown.
template <class Thrown>
std::string line_of(const Thrown& thrown, ExitCode code) {
  std::string line = message_of([&] { without_torch_errors([&]() -> int { throw thrown; }); }, code);
  EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' '; })) << line;
  EXPECT_NE(line.find("; "), std::string::npos) << "no remedy: " << line;
  EXPECT_LT(line.size(), 300) << line;
  return line;
}

void expect_in(const std::string& line, const std::string& part) {
  EXPECT_NE(line.find(part), std::string::npos) << "no \"" << part << "\" in: " << line;
}

/// CUDA's own texts, where its runtime is there: libtorch's library for the CPU names it.
struct Texts {
  const char* (*name)(int) = nullptr;
  const char* (*text)(int) = nullptr;
};

Texts runtime() {
  void* const library = ::dlopen("libcudart.so.13", RTLD_LAZY);
  if (library == nullptr) return {};
  return {reinterpret_cast<const char* (*)(int)>(::dlsym(library, "cudaGetErrorName")),
          reinterpret_cast<const char* (*)(int)>(::dlsym(library, "cudaGetErrorString"))};
}

/// As libtorch throws it.
c10::AcceleratorError failed_call(int code, const std::string& name, const std::string& text) {
  return {{"replay", "/pytorch/aten/src/ATen/cuda/CUDAGraph.cpp", 42},
          code,
          "CUDA error: " + text + "\nSearch for `" + name +
              "' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more "
              "information.\n"
              "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace "
              "below "
              "might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"};
}

/// Of CUDA's errors that are not "a fault that may go well another time": by name, as the numbers are the
/// code's.
struct Meaning {
  ExitCode code;
  std::string remedy;
};

const std::map<std::string, Meaning>& meanings() {
  static const std::map<std::string, Meaning> all = [] {
    std::map<std::string, Meaning> made;
    const auto add = [&](ExitCode code, const std::string& remedy, const std::vector<std::string>& names) {
      for (const std::string& name : names) made["cudaError" + name] = {code, remedy};
    };
    add(ExitCode::kOutOfMemory, "use a smaller size", {"MemoryAllocation"});
    add(ExitCode::kUsage, "see which GPUs nvidia-smi lists",
        {"NoDevice", "InvalidDevice", "DeviceNotLicensed"});
    add(ExitCode::kUsage, "install a newer NVIDIA driver",
        {"StubLibrary", "InsufficientDriver", "CallRequiresNewerDriver", "IncompatibleDriverContext",
         "UnsupportedPtxVersion", "SystemDriverMismatch", "CompatNotSupportedOnDevice"});
    add(ExitCode::kUsage, "build brume for this GPU",
        {"InvalidDeviceFunction", "InvalidKernelImage", "NoKernelImageForDevice", "InvalidPtx",
         "JitCompilerNotFound", "JitCompilationDisabled"});
    add(ExitCode::kGpuFault, "see with nvidia-smi who uses it", {"DevicesUnavailable", "DeviceAlreadyInUse"});
    add(ExitCode::kGpuFault, "reset the GPU or restart the machine",
        {"ECCUncorrectable", "NvlinkUncorrectable", "Contained", "HardwareStackError"});
    add(ExitCode::kGpuFault, "use a smaller size, or a GPU that has no display",
        {"LaunchTimeout", "Timeout"});
    add(ExitCode::kGpuFault, "fabric manager", {"SystemNotReady"});
    add(ExitCode::kGpuFault, "nvidia-cuda-mps-control",
        {"MpsConnectionFailed", "MpsRpcFailure", "MpsServerNotReady", "MpsMaxClientsReached",
         "MpsMaxConnectionsReached", "MpsClientTerminated"});
    return made;
  }();
  return all;
}

TEST(TorchErrors, OfEveryCallOfCudaAreOneLineThatSaysWhatToDo) {
  const Texts cuda = runtime();
  if (cuda.name == nullptr || cuda.text == nullptr) GTEST_SKIP() << "no CUDA runtime beside libtorch";
  const Meaning fault{ExitCode::kGpuFault, "start again; if it comes again, see what nvidia-smi"};
  std::set<std::string> unseen;
  for (const auto& [name, meaning] : meanings()) unseen.insert(name);
  int known = 0;
  for (int code = 1; code <= 999; ++code) {
    const std::string name = cuda.name(code);
    if (name == "unrecognized error code") continue;
    SCOPED_TRACE(name);
    ++known;
    unseen.erase(name);
    const std::string text = cuda.text(code);
    const auto found = meanings().find(name);
    const Meaning& meaning = found == meanings().end() ? fault : found->second;
    const std::string line = line_of(failed_call(code, name, text), meaning.code);
    expect_in(line, "the GPU: " + text + " (" + name + ", in replay); ");
    expect_in(line, meaning.remedy);
  }
  EXPECT_GT(known, 100);
  EXPECT_TRUE(unseen.empty()) << *unseen.begin();
}

TEST(TorchErrors, OfNumbersThatNobodyKnowsAreFaults) {
  for (const int code : {-1, 0, 1000, 123456}) {
    const c10::AcceleratorError error({"f", "f.cpp", 1}, code, "something\nlong");
    expect_in(line_of(error, ExitCode::kGpuFault),
              "the GPU: something (CUDA's error " + std::to_string(code) + ", in f); start again");
  }
}

TEST(TorchErrors, OfOurOwnCallsSayInWordsWhatFailed) {
  const c10::AcceleratorError error({"check", "kernels/gpu/call.cpp", 44}, 700,
                                    "the GPU's work: an illegal memory access was encountered");
  expect_in(line_of(error, ExitCode::kGpuFault),
            "the GPU: the GPU's work: an illegal memory access was encountered (CUDA's error 700); ");
}

TEST(TorchErrors, OfAGpusMemorySayHowMuchThereWas) {
  const c10::OutOfMemoryError full(
      {"malloc", "CUDACachingAllocator.cpp", 1},
      "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which "
      "10.75 MiB "
      "is free. Including non-PyTorch memory, this process has 79.09 GiB memory in use.\nSee documentation");
  expect_in(line_of(full, ExitCode::kOutOfMemory),
            "the GPU: out of memory: 20.00 MiB were asked for, 10.75 MiB are free; use a smaller size");
  const c10::OutOfMemoryError brief({"f", "f.cpp", 1}, "CUDA out of memory.");
  expect_in(line_of(brief, ExitCode::kOutOfMemory), "the GPU: out of memory; use a smaller size");
}

TEST(TorchErrors, OfCudasLibrariesAreToldApart) {
  const auto thrown = [](const std::string& text) { return c10::Error({"f", "f.cpp", 1}, text); };
  expect_in(
      line_of(thrown("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\nmore"),
              ExitCode::kOutOfMemory),
      "the GPU: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`; use a smaller size");
  expect_in(line_of(thrown("CUDA driver error: out of memory"), ExitCode::kOutOfMemory), "out of memory; ");
  expect_in(line_of(thrown("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx()`"),
                    ExitCode::kGpuFault),
            "CUBLAS_STATUS_EXECUTION_FAILED");
  expect_in(line_of(thrown("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), ExitCode::kGpuFault),
            "start again");
  // Our own calls of them.
  expect_in(line_of(std::runtime_error("cuDNN: execute: it failed\nthere"), ExitCode::kGpuFault),
            "the GPU: cuDNN: execute: it failed; start again");
  expect_in(
      line_of(std::runtime_error("cublasLt: multiply: CUBLAS_STATUS_INTERNAL_ERROR"), ExitCode::kGpuFault),
      "the GPU: cublasLt: multiply");
}

/// Where a GPU has failed, all that ends there warns of it, from any thread.
TEST(TorchErrors, AreOneLineWithoutTheWarningsAroundThem) {
  testing::internal::CaptureStderr();
  const auto warn = [] { TORCH_WARN("CUDA warning: an illegal memory access was encountered"); };
  without_torch_errors([&] {
    warn();
    std::thread(warn).join();
    return 0;
  });
  warn();  // from what is destroyed later
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(TorchErrors, OfTheCpuAreWhatTheyWere) {
  const auto run = [](const auto& thrown) { without_torch_errors([&]() -> int { throw thrown; }); };
  const auto of_torch = [](const std::string& text) { return c10::Error({"f", "f.cpp", 1}, text); };
  EXPECT_THROW(run(of_torch("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")),
               std::bad_alloc);
  EXPECT_THROW(run(of_torch("could not create a primitive")), std::bad_alloc);
  EXPECT_THROW(run(of_torch("shapes differ\nmore")), std::runtime_error);
  EXPECT_THROW(run(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again))),
               std::bad_alloc);
  EXPECT_THROW(run(std::system_error(std::make_error_code(std::errc::permission_denied))), std::system_error);
  EXPECT_THROW(run(std::runtime_error("CUDA is a word")), std::runtime_error);
  EXPECT_EQ(
      message_of([&] { run(Error(ExitCode::kLocked, "cuDNN: a file", "is locked")); }, ExitCode::kLocked),
      "cuDNN: a file: is locked");
  EXPECT_EQ(without_torch_errors([] { return 5; }), 5);
}

}  // namespace
}  // namespace brume::cli
