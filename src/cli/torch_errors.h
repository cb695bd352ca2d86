#pragma once
#include <functional>

namespace brume::cli {

/// What `work` gives. libtorch's errors leave it as those that the program knows, and its warnings are not
/// told.
int without_torch_errors(const std::function<int()>& work);

}  // namespace brume::cli
