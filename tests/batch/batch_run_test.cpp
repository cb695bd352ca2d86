#include "brume/batch/batch_run.h"

#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "brume/base/file.h"
#include "faults/pictures.h"
#include "temporary_directory.h"

// What a run makes of jobs, with workers that draw single pixels.
namespace brume::batch {
namespace {

class BatchRuns : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    std::signal(SIGPIPE, SIG_IGN);
  }
  static JobGroups jobs(int count) {
    return {[count, number = 0]() mutable -> std::optional<ReadyJob> {
              if (number == count) return {};
              ReadyJob job;
              job.label = testing::label_of(++number);
              job.request.seeds = {job.label.recipe.seed};
              return job;
            },
            0};
  }
  /// The device that a picture's recipe names.
  static std::string device_in(const std::filesystem::path& file) {
    const std::string bytes = read_text_file(file, 1 << 20, ExitCode::kInputInvalid);
    for (const PngText& text : read_png_texts(std::as_bytes(std::span(bytes)), file.string())) {
      if (text.keyword == "brume") return nlohmann::json::parse(text.text).at("device");
    }
    return {};
  }
};

struct DrawnFiles : BatchListener {
  void on_drawn(const ReadyJob& /*job*/, const std::filesystem::path& file, double /*seconds*/) override {
    files.push_back(file);
  }
  std::vector<std::filesystem::path> files;
};

TEST_F(BatchRuns, ARecipeNamesTheDeviceThatMadeThePicture) {
  Journal journal(directory_);
  PictureStore store(journal);
  DrawnFiles drawn;
  BatchRun run(store, drawn, false);
  JobGroups group = jobs(40);
  ASSERT_TRUE(group.begin());
  const WorkerSlot elsewhere{{1, "cpu"}, {BRUME_FAKE_WORKER, "elsewhere"}};
  run.draw_by_workers({.workers = {elsewhere}}, group, [] { return 0; });
  ASSERT_EQ(drawn.files.size(), 40U);
  for (const std::filesystem::path& file : drawn.files) EXPECT_EQ(device_in(file), "cuda:7") << file;
  EXPECT_EQ(testing::label_of(1).recipe.engine.device, "cpu");
}

TEST_F(BatchRuns, AStopEndsTheRefusingOfJobs) {
  Journal journal(directory_);
  PictureStore store(journal);
  BatchListener listener;
  for (const int last : {3, 40}) {
    BatchRun run(store, listener, false);
    JobGroups group = jobs(40);
    ASSERT_TRUE(group.begin());
    run.refuse(group, "why", [&] { return run.tally().failed == last ? SIGTERM : 0; });
    EXPECT_EQ(run.tally().failed, last);
    EXPECT_TRUE(run.stopped());
  }
  BatchRun run(store, listener, false);
  JobGroups group = jobs(40);
  ASSERT_TRUE(group.begin());
  run.refuse(group, "why", [] { return 0; });
  EXPECT_EQ(run.tally().failed, 40);
  EXPECT_FALSE(run.stopped());
}

}  // namespace
}  // namespace brume::batch
