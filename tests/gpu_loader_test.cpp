#include "src/pipeline/gpu_loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "brume/weights/safetensors.h"
#include "brume/weights/weights.h"
#include "gpu_double.h"
#include "hard_weights.h"
#include "message_of.h"
#include "temporary_directory.h"

// Weights on their way to a double of a GPU, which copies as early and as late as a GPU may: they are the
// CPU's bit for bit, at once and when the loader is gone.
namespace brume {
namespace {

using testing::GpuDouble;

/// So small that every tensor of some size goes through the whole ring more than once.
constexpr LoaderSizes kSmall{.slot = 512, .slots = 2, .threads = 4, .chunk = 64};

class GpuLoaderTest : public TemporaryDirectory {
 protected:
  std::filesystem::path file() const { return directory_ / "m.safetensors"; }
  std::shared_ptr<TensorLoader> loader(const LoaderSizes& sizes = kSmall) const {
    return std::make_shared<GpuLoader>(gpu_, sizes);
  }

  std::shared_ptr<GpuDouble> gpu_ = std::make_shared<GpuDouble>();
};

TEST_F(GpuLoaderTest, EveryStoredTypeIsRoundedAsOnTheCpu) {
  for (const at::ScalarType stored : kStoredTypes) {
    const HardWeights hard(file(), stored);
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const std::vector<at::Tensor> wanted = hard.read(dtype, nullptr);
      std::vector<at::Tensor> loaded;
      {
        const auto ring = loader();
        loaded = hard.read(dtype, ring);
        EXPECT_TRUE(same_bits(loaded, wanted)) << stored << " as " << dtype << ", at once";
      }
      EXPECT_TRUE(same_bits(loaded, wanted)) << stored << " as " << dtype;
    }
  }
}

TEST_F(GpuLoaderTest, PartsAndTransposesAreReadInTheirShape) {
  const at::Tensor source = at::arange(1200, at::kFloat).view({300, 4});
  write_safetensors(file(), {stored_entry("fused", source)}, {});
  const auto opened = std::make_shared<SafetensorsFile>(file());
  const StoredTensor* stored = &opened->header().tensors.front();
  const ComponentTensors parts{{"second", {stored, {100, 4}, 400, Axes::kAsStored}},
                               {"swapped", {stored, {4, 300}, 0, Axes::kSwapped}},
                               {"past", {stored, {100, 4}, 900, Axes::kAsStored}}};
  const Weights weights = Weights::part_of(opened, parts, "a part");
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor second;
    at::Tensor swapped;
    {
      const WeightsView view = weights.view(dtype, loader());
      second = view.tensor("second", {100, 4});
      swapped = view.tensor("swapped", {4, 300});
      EXPECT_NE(message_of(
                    [&] {
                      view.tensor("past", {100, 4});
                    },
                    ExitCode::kModelInvalid)
                    .find("\"fused\" ends before its part does"),
                std::string::npos);
    }
    EXPECT_TRUE(same_bits(second, source.narrow(0, 100, 100).to(dtype)));
    EXPECT_TRUE(same_bits(swapped, source.to(dtype).t().contiguous()));
  }
}

TEST_F(GpuLoaderTest, RandomWeightsComeByTheCpu) {
  const Weights weights = Weights::random("unet");
  const at::Tensor loaded = weights.view(at::kHalf, loader()).tensor("a.weight", {8, 8});
  EXPECT_TRUE(same_bits(loaded, weights.view(at::kHalf).tensor("a.weight", {8, 8})));
  EXPECT_EQ(gpu_->count("send"), 0);
}

/// Bytes that say where they are.
std::byte byte_at(uint64_t place) { return static_cast<std::byte>(place * 7 + place / 251); }

const PartReader kPlaces = [](uint64_t first, std::span<std::byte> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = byte_at(first + i);
};

void expect_places(const at::Tensor& bytes) {
  const auto* const data = static_cast<const std::byte*>(bytes.const_data_ptr());
  for (size_t i = 0; i < bytes.nbytes(); ++i) {
    if (data[i] != byte_at(i)) {
      ADD_FAILURE() << "byte " << i << " of " << bytes.nbytes() << " is another";
      return;
    }
  }
}

TEST_F(GpuLoaderTest, WaitsForASlotOnlyWhenItNeedsItAgain) {
  std::vector<at::Tensor> loaded;
  const auto ring = loader({.slot = 512, .slots = 3, .threads = 1, .chunk = 512});
  const auto load = [&](int64_t bytes) { loaded.push_back(ring->load({bytes}, at::kByte, kPlaces)); };
  EXPECT_EQ(gpu_->events(), (std::vector<std::string>{}));
  load(512);
  load(200);  // rounded up to 256
  load(200);
  load(512);
  EXPECT_EQ(gpu_->events(), (std::vector<std::string>{"staging 1", "send 1", "staging 2", "send 2", "send 2",
                                                      "staging 3", "send 3"}));
  load(1000);
  load(24);
  const std::vector<std::string> events = gpu_->events();
  EXPECT_EQ(std::vector<std::string>(events.begin() + 7, events.end()),
            (std::vector<std::string>{"sent 1", "send 1", "sent 2", "send 2", "sent 3", "send 3"}));
  for (const at::Tensor& bytes : loaded) expect_places(bytes);
}

TEST_F(GpuLoaderTest, EndsWithTheCopiesThatAreOnTheirWay) {
  std::vector<at::Tensor> loaded;
  {
    const auto ring = loader();
    for (const int64_t bytes : {1, 3000, 0, 64, 511, 513, 5000}) {
      loaded.push_back(ring->load({bytes}, at::kByte, kPlaces));
      if (bytes == 64) loaded.pop_back();  // who throws drops what is on its way
    }
    for (const at::Tensor& bytes : loaded) expect_places(bytes);
  }
  for (const at::Tensor& bytes : loaded) expect_places(bytes);
  EXPECT_EQ(gpu_->count("staging 1 ends") + gpu_->count("staging 2 ends"), 2);
  EXPECT_EQ(gpu_->count("staging"), 4);
}

TEST_F(GpuLoaderTest, AFileThatIsCutWhileItIsReadIsToldAsOnTheCpu) {
  write_safetensors(file(), {stored_entry("a", at::ones({40, 100})), stored_entry("b", at::ones({40, 99}))},
                    {});
  const Weights weights = Weights::open_file(file());
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 9000);  // within b's bytes
  const WeightsView here = weights.view(at::kHalf);
  const WeightsView there = weights.view(at::kHalf, loader());
  const auto cut = [](const WeightsView& view) {
    return message_of([&] { view.tensor("b", {40, 99}); }, ExitCode::kModelInvalid);
  };
  EXPECT_EQ(cut(there), cut(here));
  EXPECT_TRUE(there.tensor("a", {40, 100}).equal(here.tensor("a", {40, 100})));
}

TEST_F(GpuLoaderTest, AfterAFailureOthersAreLoaded) {
  const auto ring = loader();
  std::vector<at::Tensor> loaded;
  for (uint64_t from = 0; from < 4000; from += 300) {
    const PartReader fails = [from](uint64_t first, std::span<std::byte> out) {
      if (first + out.size() > from)
        throw Error(ExitCode::kModelInvalid, "the file", "fails at " + std::to_string(first));
      kPlaces(first, out);
    };
    const std::string message =
        message_of([&] { ring->load({4000}, at::kByte, fails); }, ExitCode::kModelInvalid);
    EXPECT_EQ(message.find("the file: fails at " + std::to_string(from / 64 * 64)), 0U) << message;
    loaded.push_back(ring->load({4000}, at::kByte, kPlaces));
  }
  for (const at::Tensor& bytes : loaded) expect_places(bytes);
}

}  // namespace
}  // namespace brume
