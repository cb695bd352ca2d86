#pragma once
#include <functional>

#include "brume/base/error.h"

namespace c10 {
class AcceleratorError;
}  // namespace c10

namespace brume::cli {

/// Of a call of a GPU.
Error error_of(const c10::AcceleratorError& error);

/// What `work` gives. libtorch's errors leave it as those that the program knows.
int without_torch_errors(const std::function<int()>& work);

}  // namespace brume::cli
