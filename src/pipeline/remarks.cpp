#include "remarks.h"

namespace brume {

void append_unused(const Weights& weights, const std::string& component, std::vector<std::string>& remarks) {
  for (const std::string& name : weights.unused()) remarks.push_back(component + ": unused weight " + name);
}

}  // namespace brume
