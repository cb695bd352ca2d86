#pragma once
#include <c10/core/ScalarType.h>

#include <functional>
#include <initializer_list>
#include <mutex>
#include <string>

namespace brume::kernels::gpu {

/// As long as it lives, no other thread of the process measures.
class TuningSession {
 public:
  TuningSession();

 private:
  std::unique_lock<std::mutex> lock_;
};

/// Whether the current stream is being captured, so that nothing may be measured on it.
bool is_captured();

/// Milliseconds that one `run` takes the GPU on the current stream. A run that takes much longer than `best`
/// is measured but once. Infinite where `run` throws: what cannot run is not chosen.
float milliseconds_of(const std::function<void()>& run, float best);

/// Milliseconds as people read them.
std::string written_milliseconds(float milliseconds);
/// The first part of a stored value; what follows ';' is for people alone.
std::string before_remark(const std::string& value);

/// The element type's short name.
std::string name_of(c10::ScalarType dtype);
/// The greatest power of two, at most 256, that divides each of these addresses.
int64_t common_alignment(std::initializer_list<const void*> addresses);

}  // namespace brume::kernels::gpu
