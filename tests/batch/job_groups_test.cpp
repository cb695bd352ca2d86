#include "brume/batch/job_groups.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace brume::batch {
namespace {

/// Jobs of nothing but a number and the adapter that they name, or "-".
class Groups : public ::testing::Test {
 protected:
  void say(const std::string& adapters) {
    ReadyJob job;
    job.label.index = ++said_;
    if (adapters != "-") job.request.adapters = PromptAdapters{{}, adapters, {}};
    jobs_.push_back(std::move(job));
  }

  JobGroups groups(size_t most_passed_over) {
    return {[this]() -> std::optional<ReadyJob> {
              if (jobs_.empty()) return {};
              ReadyJob job = std::move(jobs_.front());
              jobs_.pop_front();
              return job;
            },
            most_passed_over};
  }

  /// All of it: "A 1 3 | B 2".
  static std::string all(JobGroups groups) {
    std::string text;
    while (groups.begin()) {
      const Request& request = groups.request();
      text += (text.empty() ? "" : " | ") + (request.adapters ? request.adapters->adapters : "-");
      while (const std::optional<ReadyJob> job = groups.next())
        text += " " + std::to_string(job->label.index);
    }
    return text;
  }

  std::deque<ReadyJob> jobs_;
  int64_t said_ = 0;
};

TEST_F(Groups, AreOfOneSetOfAdapters) {
  for (const char* adapters : {"A", "-", "B", "A", "-", "A", "B"}) say(adapters);
  EXPECT_EQ(all(groups(100)), "A 1 4 6 | - 2 5 | B 3 7");
}

TEST_F(Groups, HoldBackNoMoreThanTheyMay) {
  for (const char* adapters : {"A", "B", "C", "A", "B", "D", "A"}) say(adapters);
  EXPECT_EQ(all(groups(2)), "A 1 4 | B 2 5 | C 3 | D 6 | A 7");
  for (const char* adapters : {"A", "B", "A", "A"}) say(adapters);
  EXPECT_EQ(all(groups(0)), "A 8 | B 9 | A 10 11");
}

TEST_F(Groups, OneThatIsBrokenOffIsGoneOnWith) {
  for (const char* adapters : {"A", "B", "A"}) say(adapters);
  JobGroups groups = this->groups(100);
  ASSERT_TRUE(groups.begin());
  EXPECT_EQ(groups.next()->label.index, 1);
  EXPECT_EQ(groups.next()->label.index, 3);
  ASSERT_TRUE(groups.begin());
  ASSERT_TRUE(groups.begin());  // nothing of B was taken
  EXPECT_EQ(groups.next()->label.index, 2);
  EXPECT_FALSE(groups.next());
  EXPECT_FALSE(groups.begin());
}

TEST_F(Groups, OfNothingAreNone) { EXPECT_EQ(all(groups(100)), ""); }

}  // namespace
}  // namespace brume::batch
