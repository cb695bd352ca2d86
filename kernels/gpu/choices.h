#pragma once
#include <map>
#include <optional>
#include <shared_mutex>

namespace brume::kernels::gpu {

/// What was chosen for every problem so far. Any thread may ask.
template <typename Problem, typename Choice>
class Choices {
 public:
  std::optional<Choice> find(const Problem& problem) const {
    const std::shared_lock lock(mutex_);
    const auto found = choices_.find(problem);
    return found == choices_.end() ? std::nullopt : std::optional<Choice>(found->second);
  }

  void put(const Problem& problem, const Choice& choice) {
    const std::unique_lock lock(mutex_);
    choices_.insert_or_assign(problem, choice);
  }

 private:
  mutable std::shared_mutex mutex_;
  std::map<Problem, Choice> choices_;
};

}  // namespace brume::kernels::gpu
