#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "brume/batch/job_feed.h"

namespace brume::batch {

/// Gives the pictures of a feed in groups that name the same adapters, since each group needs weights of its
/// own. Within a group, and between the first pictures of groups, they come in their order.
class JobGroups {
 public:
  using Jobs = std::function<std::optional<ReadyJob>()>;

  /// A group ends where more than `most_passed_over` pictures of others would be held back; with 0 at the
  /// first of another, so that a stream is answered in its order.
  JobGroups(Jobs jobs, size_t most_passed_over)
      : jobs_(std::move(jobs)), most_passed_over_(most_passed_over) {}

  /// Goes on to the next group; false at the end. The group before need not have ended.
  bool begin();
  /// What the first picture of the group asks for, until next() was called.
  const Request& request() const { return first_->request; }
  /// Its next picture, or nothing at its end.
  std::optional<ReadyJob> next();

 private:
  Jobs jobs_;
  size_t most_passed_over_;
  std::optional<ReadyJob> first_;
  std::string adapters_;              // of the group
  std::deque<ReadyJob> passed_over_;  // of others
};

}  // namespace brume::batch
