#pragma once
#include <string>
#include <vector>

#include "brume/weights/weights.h"

namespace brume {

/// Appends a line for each weight of `component` that no layer took.
void append_unused(const Weights& weights, const std::string& component, std::vector<std::string>& remarks);

}  // namespace brume
