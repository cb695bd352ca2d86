#include <gtest/gtest.h>

#include "brume/unet/unet.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

UNet open_unet(const std::filesystem::path& directory) {
  std::vector<std::string> ignored;
  const UNetConfig config = UNetConfig::read(ConfigFile(directory / "config.json"), ignored);
  const Weights weights = Weights::open(directory, "diffusion_pytorch_model");
  UNet unet(weights.view(at::kFloat), config);
  EXPECT_TRUE(weights.unused().empty()) << weights.unused().front();
  EXPECT_TRUE(ignored.empty()) << ignored.front();
  return unet;
}

/// One call, with a timestep for each row.
at::Tensor called(const UNet& unet, const at::Tensor& sample, const at::Tensor& timesteps,
                  const PreparedWords& words) {
  const at::Tensor rows = at::arange(timesteps.size(0));
  return unet(sample, unet.times(timesteps, words).index({rows, rows}), words);
}

class UNetOfFamily : public ::testing::TestWithParam<std::string> {};

TEST_P(UNetOfFamily, AgreesWithDiffusers) {
  const ReferenceCase reference("cases/" + GetParam() + "_unet");
  const UNet unet = open_unet(reference_path(GetParam()) / "unet");
  Conditioning conditioning;
  conditioning.context = reference.tensor("context");
  if (reference.has("pooled")) conditioning.pooled = reference.tensor("pooled");
  if (reference.has("time_ids")) conditioning.time_ids = reference.tensor("time_ids");
  const at::Tensor timesteps = reference.integers("timesteps").to(at::kFloat);
  expect_close(called(unet, reference.tensor("sample"), timesteps, unet.prepare(conditioning)),
               reference.tensor("output"), "output");
}

INSTANTIATE_TEST_SUITE_P(Families, UNetOfFamily, ::testing::Values("sd1", "sd2", "sdxl"),
                         [](const auto& family) { return family.param; });

class UNetVariant : public ::testing::TestWithParam<std::string> {};

TEST_P(UNetVariant, AgreesWithDiffusers) {
  const ReferenceCase reference("variants/" + GetParam());
  const UNet unet = open_unet(reference.path());
  const PreparedWords words = unet.prepare({reference.tensor("context"), {}, {}, {}});
  const at::Tensor timesteps = reference.integers("timesteps").to(at::kFloat);
  for (const std::string size : {"9x7", "5x10"}) {
    expect_close(called(unet, reference.tensor("sample_" + size), timesteps, words),
                 reference.tensor("output_" + size), size);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Variants, UNetVariant,
    ::testing::Values("unet_16_channels", "unet_8_channels", "unet_9_channels", "unet_all_cross",
                      "unet_asymmetrical", "unet_asymmetrical_middle", "unet_cross_dim_list",
                      "unet_depth_list", "unet_downsample_padding", "unet_flip_and_shift", "unet_layers_list",
                      "unet_mid_scale", "unet_no_middle", "unet_norm_eps", "unet_one_middle_block",
                      "unet_only_cross_attention", "unet_single_block", "unet_single_plain_block"),
    [](const auto& name) { return name.param; });

}  // namespace
}  // namespace brume::testing
