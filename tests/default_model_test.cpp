#include <gtest/gtest.h>

#include <filesystem>

#include "brume/pipeline/pipeline.h"

// The model that ships with the project: whole, small enough, and able to draw what the README promises.
namespace brume {
namespace {

std::filesystem::path default_model() { return std::filesystem::path(BRUME_PROJECT) / "models/default"; }

struct Colour {
  double red = 0;
  double green = 0;
  double blue = 0;
};

/// The mean colour of the pixels of a square of `side` at (left, top).
Colour mean_of(const Picture& picture, int left, int top, int side) {
  Colour sum;
  for (int y = top; y < top + side; ++y) {
    for (int x = left; x < left + side; ++x) {
      const uint8_t* pixel = &picture.pixels[static_cast<size_t>(3 * (y * picture.width + x))];
      sum.red += pixel[0];
      sum.green += pixel[1];
      sum.blue += pixel[2];
    }
  }
  const double count = static_cast<double>(side) * side;
  return {sum.red / count, sum.green / count, sum.blue / count};
}

TEST(DefaultModel, DrawsARedAppleOnABlueBackground) {
  const Pipeline pipeline(ModelConfig(default_model()), at::kFloat);
  EXPECT_TRUE(pipeline.remarks().empty()) << pipeline.remarks().front();
  PictureSettings settings;
  settings.prompt = "a red apple on a blue background";
  const Request request = pipeline.model().resolve(settings, {42});
  Observer unseen;
  const Generation made = pipeline.generate(request, unseen);
  ASSERT_TRUE(made.pictures.front().picture) << made.pictures.front().failed_stage;
  const Picture& picture = *made.pictures.front().picture;
  for (const int corner : {0, picture.width - 8}) {
    const Colour background = mean_of(picture, corner, 0, 8);
    EXPECT_GT(background.blue, background.red + 60);
    EXPECT_GT(background.blue, background.green + 60);
  }
  const Colour apple = mean_of(picture, picture.width / 2 - 12, picture.height / 2 - 6, 24);
  EXPECT_GT(apple.red, apple.green + 60);
  EXPECT_GT(apple.red, apple.blue + 60);
}

TEST(DefaultModel, IsAtMost24Megabytes) {
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(default_model())) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 24'000'000U);
}

}  // namespace
}  // namespace brume
