#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <string>

#include "brume/base/error.h"
#include "brume/pipeline/pipeline.h"
#include "the_gpu.h"

// A GPU whose memory is really short: another tensor has it.
namespace brume::testing {
namespace {

/// All but so many bytes of the GPU's memory, which nobody else gets while this is there.
at::Tensor all_but(int64_t bytes) {
  the_gpu()->synchronize();
  the_gpu()->give_back();
  return at::empty({the_gpu()->free_memory() - bytes},
                   at::TensorOptions(at::kByte).device(the_gpu()->properties().device));
}

Pipeline open() {
  return {ModelConfig(BRUME_PROJECT "/models/architectures/sd15", {.origin = WeightsOrigin::kRandom}),
          at::kHalf, the_gpu()};
}

Generation draw(const Pipeline& pipeline) {
  PictureSettings settings;
  settings.prompt = "a lighthouse at dusk";
  settings.steps = 3;
  settings.cfg_scale = 1;
  settings.width = settings.height = 256;
  Observer unseen;
  return pipeline.generate(pipeline.model().resolve(settings, {7, 8}), unseen);
}

/// How they came about: "", "none", or their notes.
std::string outcome(const Generation& wanted) {
  std::string notes;
  try {
    const Generation made = draw(open());
    expect_like(made, wanted, 30);
    for (const std::string& note : made.pictures.front().notes) notes += (notes.empty() ? "" : ", ") + note;
    return notes;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kOutOfMemory) << error.what();
    notes = error.what();
  } catch (const c10::OutOfMemoryError& error) {  // told as a line by the program
    notes = error.what_without_backtrace();
  }
  return "none: " + notes.substr(0, notes.find('\n'));
}

TEST(GpuRoom, WhereItIsShortThePicturesAreTheSameAndSayHow) {
  Generation wanted;
  int64_t weights = 0;
  {
    the_gpu()->give_back();
    const int64_t before = the_gpu()->free_memory();
    const Pipeline roomy = open();
    weights = before - the_gpu()->free_memory();
    wanted = draw(roomy);
    for (const PictureResult& picture : wanted.pictures) ASSERT_TRUE(picture.notes.empty());
  }
  // Hundredths of the weights: for less than all of them, the UNet's cannot be there; with a bit more a step
  // cannot.
  std::map<int, std::string> seen;
  for (const int share : {30, 60, 90, 102, 108, 300}) {
    const at::Tensor taken = all_but(weights / 100 * share);
    seen[share] = outcome(wanted);
    std::cout << share << " % of the weights' memory: \"" << seen[share] << "\"\n";
  }
  for (const int share : {60, 90}) EXPECT_NE(seen[share].find("weights_streamed memory"), std::string::npos);
  EXPECT_EQ(seen[300], "");
  int streamed = 0;
  for (const auto& [share, notes] : seen) streamed += notes.ends_with("weights_streamed memory") ? 1 : 0;
  EXPECT_GE(streamed, 3);
}

}  // namespace
}  // namespace brume::testing
