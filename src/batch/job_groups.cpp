#include "brume/batch/job_groups.h"

#include <algorithm>

namespace brume::batch {

namespace {

std::string adapters_of(const ReadyJob& job) {
  return job.request.adapters ? job.request.adapters->adapters : "";
}

}  // namespace

bool JobGroups::begin() {
  if (first_) passed_over_.push_front(std::move(*first_));
  if (passed_over_.empty()) {
    first_ = jobs_();
  } else {
    first_ = std::move(passed_over_.front());
    passed_over_.pop_front();
  }
  if (!first_) return false;
  adapters_ = adapters_of(*first_);
  return true;
}

std::optional<ReadyJob> JobGroups::next() {
  if (first_) return std::exchange(first_, {});
  const auto ours = [this](const ReadyJob& job) { return adapters_of(job) == adapters_; };
  const auto held = std::find_if(passed_over_.begin(), passed_over_.end(), ours);
  if (held != passed_over_.end()) {
    std::optional<ReadyJob> job = std::move(*held);
    passed_over_.erase(held);
    return job;
  }
  // One more than may be held back is read: whose it is shows only then.
  while (passed_over_.size() <= most_passed_over_) {
    std::optional<ReadyJob> job = jobs_();
    if (!job || ours(*job)) return job;
    passed_over_.push_back(std::move(*job));
  }
  return {};
}

}  // namespace brume::batch
