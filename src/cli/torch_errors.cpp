#include "torch_errors.h"

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "gpu_errors.h"

namespace brume::cli {

namespace {

/// As c10::Error writes it: "Exception raised from replay at CUDAGraph.cpp:42 (most recent call first)". Our
/// own check() says in words what failed.
std::string raised_in(const std::string& what) {
  constexpr std::string_view kBefore = "Exception raised from ";
  const size_t found = what.find(kBefore);
  if (found == std::string::npos) return {};
  const size_t begin = found + kBefore.size();
  const std::string function = what.substr(begin, what.find(" at ", begin) - begin);
  return function == "check" ? std::string() : function;
}

[[noreturn]] void throw_known(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  if (const std::optional<Error> known = gpu_library_error(text)) throw *known;
  // oneDNN says no more of it than that.
  for (const char* said :
       {"allocate memory", "could not create a primitive", "could not execute a primitive"}) {
    if (text.find(said) != std::string::npos) throw std::bad_alloc();
  }
  throw std::runtime_error(text);
}

}  // namespace

int without_torch_errors(const std::function<int()>& work) {
  // Its warnings are for programmers: where a GPU has failed, each event and graph that ends has one.
  FLAGS_caffe2_log_level = c10::GLOG_ERROR;
  try {
    return work();
  } catch (const c10::OutOfMemoryError& error) {
    throw gpu_out_of_memory(error.what_without_backtrace());
  } catch (const c10::AcceleratorError& error) {
    throw gpu_error({error.get_error_code(), error.what_without_backtrace(), raised_in(error.what())});
  } catch (const c10::Error& error) {
    throw_known(error);
  } catch (const Error&) {
    throw;
  } catch (const std::system_error& error) {
    // No room for a thread's stack.
    if (error.code() == std::errc::resource_unavailable_try_again) throw std::bad_alloc();
    throw;
  } catch (const std::runtime_error& error) {
    if (const std::optional<Error> known = gpu_library_error(error.what())) throw *known;
    throw;
  }
}

}  // namespace brume::cli
