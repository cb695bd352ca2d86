#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "short_of_memory.h"

// Networks whose weights have no room beside the rest: they are fetched from the machine's memory, and the
// picture is the same.
namespace brume::testing {
namespace {

class Streaming : public ShortOfMemory {
 protected:
  void SetUp() override {
    gpu_ = std::make_shared<GpuDouble>();
    const Pipeline resident = opened();
    request_ = request(resident, kTile, kTile / 2);
    wanted_ = drawn(resident, request_);
  }

  Pipeline opened() const { return {ModelConfig(reference_path("sd1")), at::kFloat, gpu_}; }

  /// Opens a model and draws, with so much memory for both: the notes of the picture, which must be as it
  /// was, or "none".
  std::string outcome(const MemoryLimits& limits) {
    const MemorySupply supply(limits);
    std::string notes = "none";
    try {
      const Pipeline pipeline = opened();
      const Generation made = drawn(pipeline, request_);
      EXPECT_TRUE(made.latents.equal(wanted_.latents));
      const PictureResult& picture = made.pictures.front();
      EXPECT_EQ(picture.picture->pixels, wanted_.pictures.front().picture->pixels);
      EXPECT_LE(picture.notes.size(), 1);
      notes = picture.notes.empty() ? "" : picture.notes.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kOutOfMemory);
    } catch (const c10::OutOfMemoryError&) {  // told as a line by the program
    }
    requests_ = supply.requests();
    peak_ = supply.peak();
    EXPECT_EQ(gpu_->hosted(), 0) << "all went with the pipeline";
    return notes;
  }

  Request request_;
  Generation wanted_;
  int64_t requests_ = 0;
  int64_t peak_ = 0;
};

TEST_F(Streaming, IsWhatIsDoneWhereTheWholeHasNoRoom) {
  EXPECT_EQ(outcome({}), "");
  const int64_t peak = peak_;
  constexpr int64_t kParts = 40;
  std::map<std::string, int64_t> seen;
  int64_t least = peak;
  for (int64_t part = kParts; part > 0; --part) {
    SCOPED_TRACE(part);
    const std::string notes = outcome({.bytes = peak * part / kParts});
    ++seen[notes];
    if (notes != "none") least = peak * part / kParts;
  }
  EXPECT_EQ(seen.size(), 3);
  EXPECT_GT(seen[kStreamed.front()], 3);
  EXPECT_LT(least, peak * 3 / 4);
}

TEST_F(Streaming, IsToldWhereAModelIsOpened) {
  int64_t needed = 0;
  {
    const MemorySupply supply;
    const Pipeline resident = opened();
    needed = supply.peak();
    for (const std::string& remark : resident.remarks()) EXPECT_EQ(remark.find("no room"), std::string::npos);
  }
  const MemorySupply supply({.bytes = needed * 2 / 3});
  const Pipeline pipeline = opened();
  const std::vector<std::string>& remarks = pipeline.remarks();
  EXPECT_TRUE(std::any_of(remarks.begin(), remarks.end(), [](const std::string& remark) {
    return remark ==
           "the GPU has no room for the UNet: its weights are fetched from the machine's memory in each "
           "call, which is slower";
  }));
  EXPECT_GT(gpu_->hosted(), 0);
  // Each weight once: what the failed opening had is gone, and its remarks, too.
  EXPECT_EQ(std::count(remarks.begin(), remarks.end(), remarks.front()), 1);
}

/// Whichever request for memory fails, and however many after it: as many as it takes for every rung.
TEST_F(Streaming, LeavesThePictureOrNoneWhicheverRequestFails) {
  std::map<std::string, int64_t> seen;
  for (const int64_t failures : {1, 4, 9, 20}) {
    constexpr int64_t kStride = 17;
    for (int64_t k = failures;; k += kStride) {
      SCOPED_TRACE(k);
      ++seen[outcome({.failing = k, .failures = failures})];
      if (requests_ < k) break;
    }
  }
  EXPECT_EQ(seen.size(), 3);
  EXPECT_GT(seen[kStreamed.front()], 20);
}

TEST_F(Streaming, OfOneThreadLeavesThePicturesOfAll) {
  int64_t streamed = 0;
  for (const int64_t failures : {2, 7, 15}) {
    constexpr int64_t kStride = 31;
    for (int64_t k = 1;; k += kStride) {
      SCOPED_TRACE(k);
      const Pipeline pipeline = opened();
      const MemorySupply supply({.failing = k, .failures = failures});
      std::vector<PictureResult> made;
      try {
        draw_beside(pipeline, request_, 3, made);
        EXPECT_EQ(made.size(), 3);
      } catch (const c10::OutOfMemoryError&) {  // told as a line by the program
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kOutOfMemory);
      }
      for (const PictureResult& picture : made) {
        EXPECT_EQ(picture.picture->pixels, wanted_.pictures.front().picture->pixels);
        if (picture.notes == kStreamed) ++streamed;
      }
      if (supply.requests() < k) break;
    }
  }
  EXPECT_GT(streamed, 0);
}

}  // namespace
}  // namespace brume::testing
