#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "brume/base/error.h"
#include "brume/weights/component_tensors.h"

namespace brume::dialects {

/// What the names and shapes of a component say.
class Shapes {
 public:
  Shapes(const ComponentTensors& tensors, const std::string& where) : tensors_(tensors), where_(where) {}

  bool has(const std::string& name) const { return tensors_.contains(name); }

  /// The size of `name` along `axis`. Throws kModelInvalid where it is missing or has fewer axes.
  uint64_t size(const std::string& name, size_t axis) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      throw Error(ExitCode::kModelInvalid, where_, "tensor \"" + name + "\" is missing",
                  "fetch the file again");
    if (axis >= found->second.shape.size())
      throw Error(ExitCode::kModelInvalid, where_, "tensor \"" + name + "\" has too few dimensions",
                  "fetch the file again");
    return found->second.shape[axis];
  }

  size_t rank(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? 0 : found->second.shape.size();
  }

  /// How many of `before`0`after`, `before`1`after` and so on there are.
  size_t count(const std::string& before, const std::string& after) const {
    size_t number = 0;
    while (has(before + std::to_string(number) + after)) ++number;
    return number;
  }

  /// The first name that ends so.
  std::optional<std::string> ending(std::string_view end) const {
    for (const auto& [name, place] : tensors_) {
      if (name.ends_with(end)) return name;
    }
    return std::nullopt;
  }

 private:
  const ComponentTensors& tensors_;
  const std::string& where_;
};

}  // namespace brume::dialects
