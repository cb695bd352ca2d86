#include <gtest/gtest.h>

#include <memory>

#include "brume/vae/autoencoder.h"
#include "brume/vae/tiling.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

std::unique_ptr<const Autoencoder> open_vae(const std::filesystem::path& directory) {
  std::vector<std::string> ignored;
  const VaeConfig config = VaeConfig::read(ConfigFile(directory / "config.json"), ignored);
  const Weights weights = Weights::open(directory, "diffusion_pytorch_model");
  std::unique_ptr<const Autoencoder> vae = open_autoencoder(weights.view(at::kFloat), config);
  EXPECT_TRUE(weights.unused().empty()) << weights.unused().front();
  EXPECT_TRUE(ignored.empty()) << ignored.front();
  return vae;
}

void expect_both_ways(const Autoencoder& vae, const ReferenceCase& reference) {
  const LatentDistribution encoded = vae.encode(reference.tensor("picture"));
  expect_close(encoded.mean, reference.tensor("mean"), "mean");
  ASSERT_EQ(encoded.log_variance.defined(), reference.has("logvar"));
  if (reference.has("logvar")) expect_close(encoded.log_variance, reference.tensor("logvar"), "logvar");
  expect_close(vae.decode(reference.tensor("z")), reference.tensor("decoded"), "decoded");
  if (!reference.has("latents")) return;
  expect_close(vae.to_unet(encoded.mean), reference.tensor("latents"), "to_unet");
  expect_close(vae.from_unet(reference.tensor("latents")), reference.tensor("mean"), "from_unet");
}

class VaeOfFamily : public ::testing::TestWithParam<std::string> {};

TEST_P(VaeOfFamily, AgreesWithDiffusersBothWays) {
  expect_both_ways(*open_vae(reference_path(GetParam()) / "vae"),
                   ReferenceCase("cases/" + GetParam() + "_vae"));
}

INSTANTIATE_TEST_SUITE_P(Families, VaeOfFamily, ::testing::Values("sd1", "sd2", "sdxl"),
                         [](const auto& family) { return family.param; });

class VaeVariant : public ::testing::TestWithParam<std::string> {};

TEST_P(VaeVariant, AgreesWithDiffusersBothWays) {
  const ReferenceCase reference("variants/" + GetParam());
  expect_both_ways(*open_vae(reference.path()), reference);
}

INSTANTIATE_TEST_SUITE_P(Variants, VaeVariant,
                         ::testing::Values("vae_16_channels_factor_16", "vae_no_quant_convs",
                                           "vae_shift_factor", "vae_single_block", "vae_tiled", "vae_tiny",
                                           "vae_tiny_16_channels", "vae_two_layers"),
                         [](const auto& name) { return name.param; });

TEST(VaeTiling, AgreesWithDiffusersBothWays) {
  const ReferenceCase reference("variants/vae_tiled");
  const std::unique_ptr<const Autoencoder> vae = open_vae(reference.path());
  const auto tile = reference.parameters()["tile_latent_min_size"].get<int64_t>();
  ASSERT_EQ(reference.parameters()["tile_overlap_factor"].get<double>(), 0.25);
  expect_close(vae->decode_tiled(reference.tensor("tiled_z"), tile), reference.tensor("tiled_decoded"),
               "decoded");
  const LatentDistribution encoded = vae->encode_tiled(reference.tensor("tiled_picture"), tile);
  expect_close(encoded.mean, reference.tensor("tiled_moments").chunk(2, 1)[0], "encoded");
}

TEST(VaeTiling, BlendsAwayTheSeamsOfAConstantOffset) {
  // Each tile comes out one brighter than the one before: neighbouring pixels must never jump by a whole
  // step.
  float brightness = 0;
  const at::Tensor blended = by_tiles(at::zeros({1, 1, 30, 30}), {8, 16}, [&](const at::Tensor& tile) {
    return at::full({1, 3, 2 * tile.size(2), 2 * tile.size(3)}, brightness += 1);
  });
  ASSERT_EQ(blended.sizes(), (at::IntArrayRef{1, 3, 60, 60}));
  EXPECT_LT(at::diff(blended, 1, 3).abs().max().item<float>(), 0.5F);
}

}  // namespace
}  // namespace brume::testing
