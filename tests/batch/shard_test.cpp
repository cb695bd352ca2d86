#include "brume/batch/shard.h"

#include <gtest/gtest.h>

#include <map>

#include "faults/pictures.h"
#include "message_of.h"

namespace brume::batch {
namespace {

Shard parse(const std::string& text, const std::map<std::string, std::string>& variables = {}) {
  return shard_from_text(text, [&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refused(const std::string& text, const std::map<std::string, std::string>& variables = {}) {
  return message_of([&] { parse(text, variables); }, ExitCode::kUsage);
}

TEST(Shards, AreCountedFromZero) {
  EXPECT_EQ(parse("0/1"), (Shard{0, 1}));
  EXPECT_EQ(parse("7/8"), (Shard{7, 8}));
  EXPECT_EQ(refused("8/8"),
            "--shard 8/8: i is 8, and 8 shards are counted from 0 to 7; count from 0, as in --array=0-7");
  for (const char* text :
       {"", "/", "1", "1/", "/2", "-1/2", "0/0", "a/2", "0/2x", "0/ 2", "0/999999999", "0/-1"})
    refused(text);
}

TEST(Shards, SlurmAndKubernetesNumberTheirTasks) {
  EXPECT_EQ(parse("auto/8", {{"SLURM_ARRAY_TASK_ID", "3"}}), (Shard{3, 8}));
  EXPECT_EQ(parse("auto/8", {{"JOB_COMPLETION_INDEX", "7"}}), (Shard{7, 8}));
  const std::map<std::string, std::string> array{{"SLURM_ARRAY_TASK_ID", "12"},
                                                 {"SLURM_ARRAY_TASK_MIN", "10"},
                                                 {"SLURM_ARRAY_TASK_MAX", "13"},
                                                 {"SLURM_ARRAY_TASK_COUNT", "4"}};
  EXPECT_EQ(parse("auto", array), (Shard{2, 4}));
  auto gaps = array;
  gaps["SLURM_ARRAY_TASK_MAX"] = "20";
  refused("auto", gaps);
  refused("auto", {{"JOB_COMPLETION_INDEX", "1"}});
  refused("auto", {{"SLURM_ARRAY_TASK_ID", "1"}});
  refused("auto");
  refused("auto/4");
  refused("auto/4", {{"SLURM_ARRAY_TASK_ID", "4"}});
  refused("auto/4", {{"SLURM_ARRAY_TASK_ID", "x"}});
}

TEST(Shards, DivideTheJobsAndTellOverlaps) {
  std::vector<JobKey> keys;
  keys.reserve(500);
  for (int i = 0; i < 500; ++i) keys.push_back(testing::label_of(i).key);
  for (const int64_t count : {1, 2, 3, 7, 64}) {
    int64_t owned = 0;
    for (const JobKey& key : keys) {
      int64_t owners = 0;
      for (int64_t i = 0; i < count; ++i) owners += Shard{i, count}.owns(key) ? 1 : 0;
      ASSERT_EQ(owners, 1);
      owned += owners;
    }
    EXPECT_EQ(owned, 500);
  }
  for (const Shard a : {Shard{0, 4}, Shard{1, 4}, Shard{0, 1}, Shard{1, 3}}) {
    for (const Shard b : {Shard{0, 2}, Shard{1, 2}, Shard{2, 6}, Shard{2, 4}, Shard{0, 4}}) {
      bool shared = false;
      bool covered = true;
      for (const JobKey& key : keys) {
        shared = shared || (a.owns(key) && b.owns(key));
        covered = covered && (a.owns(key) || !b.owns(key));
      }
      EXPECT_EQ(a.overlaps(b), shared) << a.name() << " " << b.name();
      EXPECT_EQ(a.covers(b), covered) << a.name() << " " << b.name();
    }
  }
}

TEST(Shards, NamesComeBack) {
  for (const Shard shard : {Shard{0, 1}, Shard{0, 2}, Shard{63, 64}}) {
    EXPECT_EQ(shard_from_name(shard.name()), shard);
  }
  for (const char* name : {"", "0-of-1", "2-of-2", "00-of-2", "a-of-2", "0-of-2x", "-of-"})
    EXPECT_FALSE(shard_from_name(name)) << name;
}

}  // namespace
}  // namespace brume::batch
