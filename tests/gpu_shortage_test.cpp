#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "short_of_memory.h"

// Memory that is short at any place of a run, and of any kind: the picture is right, or there is none.
namespace brume::testing {
namespace {

/// What all kinds of shortage are tried on: one picture, by itself and with what it would be by tiles.
class AnyShortage : public ShortOfMemory {
 protected:
  void SetUp() override {
    pipeline_ = open();
    use(kTile + 8, 8);
  }
  void use(int64_t width, int64_t height) {
    request_ = request(*pipeline_, width, height);
    whole_ = drawn(*pipeline_, request_);
    tiled_ = drawn(*pipeline_, tiled(request_));
  }

  /// Draws it, and expects a whole picture or none: "", its notes, or "none".
  std::string outcome(const Pipeline& pipeline) const {
    Generation made;
    try {
      made = drawn(pipeline, request_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kOutOfMemory);
      return "none";
    } catch (const c10::OutOfMemoryError&) {  // told as a line by the program
      return "none";
    }
    const PictureResult& picture = made.pictures.front();
    const bool by_tiles = !picture.notes.empty() && picture.notes.front() == kTiled.front();
    const Generation& wanted = by_tiles ? tiled_ : whole_;
    EXPECT_TRUE(made.latents.equal(wanted.latents));
    EXPECT_EQ(picture.picture->pixels, wanted.pictures.front().picture->pixels);
    return picture.notes.empty() ? "" : picture.notes.front();
  }

  /// A picture's words that find no memory have the graphs' given back.
  void forget_recorded() const {
    const MemorySupply supply({.failing = 1});
    Observer unseen;
    pipeline_->words(request_, unseen);
    EXPECT_EQ(gpu_->graphs(), 0);
  }

  std::unique_ptr<Pipeline> pipeline_;
  Request request_;
  Generation whole_;
  Generation tiled_;
};

TEST_F(AnyShortage, OfOneRequestLeavesThePictureOrNone) {
  std::map<std::string, int64_t> seen;
  for (const bool recorded : {false, true}) {
    for (int64_t k = 1;; ++k) {
      SCOPED_TRACE(k);
      if (!recorded) forget_recorded();
      const MemorySupply supply({.failing = k});
      ++seen[outcome(*pipeline_)];
      if (supply.requests() < k) break;
    }
  }
  EXPECT_EQ(outcome(*pipeline_), "");
  EXPECT_EQ(seen.size(), 2);
  EXPECT_GT(seen.at(""), 3 * seen.at("none"));  // these are the text's and the sampler's own small tensors
}

TEST_F(AnyShortage, InAFirstPictureLeavesItOrNone) {
  constexpr int64_t kStride = 13;
  for (int64_t k = 1;; k += kStride) {
    SCOPED_TRACE(k);
    const Pipeline fresh(pipeline_->model(), at::kFloat, gpu_);
    int64_t requests = 0;
    {
      const MemorySupply supply({.failing = k});
      outcome(fresh);
      requests = supply.requests();
    }
    EXPECT_EQ(outcome(fresh), "");
    if (requests < k) break;
  }
}

TEST_F(AnyShortage, OfLargePiecesLeavesThePictureOrNone) {
  use(3 * kTile, 3 * kTile);  // beside which a tile is small
  int64_t largest = 0;
  {
    const MemorySupply supply;
    outcome(*pipeline_);
    largest = supply.largest();
  }
  std::map<std::string, int64_t> seen;
  for (int64_t bytes = largest + 1; bytes > 0; bytes -= largest / 30 + 1) {
    SCOPED_TRACE(bytes);
    forget_recorded();
    const MemorySupply supply({.bytes_at_once = bytes});
    ++seen[outcome(*pipeline_)];
  }
  EXPECT_EQ(outcome(*pipeline_), kStreamed.front());  // which was tried, and did not help
  EXPECT_EQ(seen.size(), 3);                          // whole, by tiles, and none
}

TEST_F(AnyShortage, OfAllMemoryLeavesThePictureOrNone) {
  int64_t peak = 0;
  {
    forget_recorded();
    const MemorySupply supply;
    outcome(*pipeline_);
    peak = supply.peak();
  }
  std::map<std::string, int64_t> seen;
  for (int64_t bytes = peak; bytes > 0; bytes -= peak / 50 + 1) {
    SCOPED_TRACE(bytes);
    forget_recorded();
    const MemorySupply supply({.bytes = bytes});
    ++seen[outcome(*pipeline_)];
  }
  EXPECT_EQ(outcome(*pipeline_), kStreamed.front());
  EXPECT_GT(seen[""], 0);
  EXPECT_GT(seen["none"], 0);
}

/// Prompts and an interval that make several shapes of calls.
Request of_many_shapes(const Pipeline& pipeline, Request request) {
  PictureSettings settings;
  settings.prompt = "two owls AND the castle on the hill with light and water and a cat in it :0.5";
  settings.guidance_end = 0.5;
  settings.cfg_scale = 5;
  settings.steps = 3;
  settings.width = request.width;
  settings.height = request.height;
  return pipeline.model().resolve(settings, {7, 8});
}

TEST_F(AnyShortage, OfARecordingLeavesThePicture) {
  const Request request = of_many_shapes(*pipeline_, request_);
  const Generation wanted = drawn(*pipeline_, request);
  for (int64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    const auto fresh = open();
    gpu_->fail_capture(k);
    const Generation made = drawn(*fresh, request);
    EXPECT_TRUE(made.latents.equal(wanted.latents));
    for (size_t i = 0; i < made.pictures.size(); ++i) {
      EXPECT_EQ(made.pictures[i].picture->pixels, wanted.pictures[i].picture->pixels);
      EXPECT_EQ(made.pictures[i].notes, kNoNotes);
    }
    if (gpu_->count("capture") < k) break;
    EXPECT_GT(gpu_->count("give back"), 0);
  }
}

TEST_F(AnyShortage, OfARecordingLeavesRowsAsTheyWere) {
  Request request = of_many_shapes(*pipeline_, request_);
  request.seeds = {0};
  const auto wanted = by_rows(*pipeline_, request, 3);
  for (int64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    const auto fresh = open();
    gpu_->fail_capture(k);
    const auto made = by_rows(*fresh, request, 3);
    ASSERT_EQ(made.size(), wanted.size());
    for (const auto& [ticket, row] : made) {
      EXPECT_TRUE(row.latents.equal(wanted.at(ticket).latents));
      EXPECT_EQ(row.notes, kNoNotes);
    }
    if (gpu_->count("capture") < k) break;
  }
}

TEST_F(AnyShortage, OfOneRequestAmongRowsLeavesThemOrNone) {
  constexpr int64_t kStride = 5;
  const auto wanted = by_rows(*pipeline_, request_, 2);
  for (int64_t k = 1;; k += kStride) {
    SCOPED_TRACE(k);
    forget_recorded();
    const MemorySupply supply({.failing = k});
    try {
      for (const auto& [ticket, row] : by_rows(*pipeline_, request_, 2))
        EXPECT_TRUE(row.latents.equal(wanted.at(ticket).latents));
    } catch (const c10::OutOfMemoryError&) {  // told as a line by the program
    }
    if (supply.requests() < k) break;
  }
}

TEST_F(AnyShortage, OfOneRequestOfAnyThreadLeavesPicturesOrEndsTheRun) {
  constexpr int64_t kStride = 23;
  for (int64_t k = 1;; k += kStride) {
    SCOPED_TRACE(k);
    forget_recorded();
    const MemorySupply supply({.failing = k});
    std::vector<PictureResult> made;
    try {
      draw_beside(*pipeline_, request_, 3, made);
      EXPECT_EQ(made.size(), 3);
    } catch (const c10::OutOfMemoryError&) {  // told as a line by the program
    }
    for (const PictureResult& picture : made) {
      const Generation& wanted = picture.notes == kTiled ? tiled_ : whole_;
      EXPECT_EQ(picture.picture->pixels, wanted.pictures.front().picture->pixels);
    }
    if (supply.requests() < k) break;
  }
}

}  // namespace
}  // namespace brume::testing
