#include "brume/bench/work.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "brume/bench/rounds.h"
#include "brume/pipeline/model_config.h"
#include "brume/weights/weights.h"

namespace brume::bench {
namespace {

constexpr int64_t kTokens = 77;

ModelConfig architecture(const std::string& name) {
  return ModelConfig(std::string(BRUME_PROJECT "/models/architectures/") + name,
                     {.origin = WeightsOrigin::kRandom});
}

ClipTextConfig text_of(const ModelConfig& model, const char* component = "text_encoder") {
  std::vector<std::string> ignored;
  return ClipTextConfig::read(model.source().config(component), ignored);
}

double parameters_of(const ModelConfig& model) { return unet_work(model.unet(), {8, 8}, kTokens).parameters; }

double vae_parameters(const ModelConfig& model) {
  return decode_work(model.vae(), {8, 8}).parameters + encode_work(model.vae(), {8, 8}).parameters;
}

PictureSettings steps(int64_t count) {
  PictureSettings settings;
  settings.steps = count;
  return settings;
}

// The counts that the models' own pages and diffusers give: they can only be met by the very structure.
TEST(Work, ParametersAreThoseOfThePublishedModels) {
  EXPECT_EQ(parameters_of(architecture("sd15")), 859'520'964);
  EXPECT_EQ(parameters_of(architecture("sd21")), 865'910'724);
  EXPECT_EQ(parameters_of(architecture("sdxl")), 2'567'463'684);
  EXPECT_EQ(vae_parameters(architecture("sd15")), 83'653'863);
  EXPECT_EQ(text_work(text_of(architecture("sd15")), kTokens).parameters, 123'060'480);
  EXPECT_EQ(text_work(text_of(architecture("sd21")), kTokens).parameters, 340'387'840);
  EXPECT_EQ(text_work(text_of(architecture("sdxl"), "text_encoder_2"), kTokens).parameters, 694'659'840);
}

TEST(Work, ParametersOfATinyAutoencoderAreThoseOfTaesd) {
  std::vector<std::string> ignored;
  const VaeConfig taesd =
      VaeConfig::read(ConfigFile(R"({"_class_name": "AutoencoderTiny"})", "config.json"), ignored);
  EXPECT_EQ(encode_work(taesd, {8, 8}).parameters, 1'222'532);
  EXPECT_EQ(decode_work(taesd, {8, 8}).parameters, 1'222'531);
}

TEST(Work, AStepAndADecodingTakeTheKnownNumberOfOperations) {
  const ModelConfig sd15 = architecture("sd15");
  const ModelConfig sdxl = architecture("sdxl");
  EXPECT_NEAR(2 * unet_work(sd15.unet(), {64, 64}, kTokens).flop(), 1.606e12, 1e9);
  EXPECT_NEAR(decode_work(sd15.vae(), {64, 64}).flop(), 2.515e12, 1e9);
  EXPECT_NEAR(decode_work(sd15.vae(), {128, 128}).flop(), 10.47e12, 5e9);
  EXPECT_NEAR(unet_work(architecture("sd21").unet(), {96, 96}, kTokens).flop(), 2.149e12, 1e9);
  EXPECT_NEAR(unet_work(sdxl.unet(), {128, 128}, kTokens).flop(), 6.761e12, 1e9);
  EXPECT_NEAR(text_work(text_of(sd15), kTokens).multiply_adds, 6.6e9, 0.1e9);
}

TEST(Work, APromptIsEncodedByAllEncodersOfAModel) {
  const PromptWork sd15 = prompt_work(architecture("sd15"));
  EXPECT_EQ(sd15.tokens, kTokens);
  EXPECT_NEAR(sd15.work.multiply_adds, 6.6e9, 0.1e9);
  EXPECT_EQ(prompt_work(architecture("sdxl")).work.parameters, 123'060'480 + 694'659'840);
}

/// Of a convolution of stride 2 over a map with an odd side, which rounds up.
TEST(Work, OddSidesAreCountedAsTheyAre) {
  const UNetConfig unet = architecture("tiny").unet();
  const double even = unet_work(unet, {8, 8}, kTokens).multiply_adds;
  const double odd = unet_work(unet, {7, 8}, kTokens).multiply_adds;
  EXPECT_LT(odd, even);
  EXPECT_GT(odd, even * 7 / 8) << "the coarser level is as large as before";
}

TEST(Work, WeightBytesFollowTheDtype) {
  const ModelConfig tiny = architecture("tiny");
  EXPECT_EQ(weight_bytes(tiny, at::kFloat), 2 * weight_bytes(tiny, at::kBFloat16));
  EXPECT_GT(weight_bytes(tiny, at::kHalf), weight_bytes(tiny, at::kBFloat16)) << "the autoencoder stays fp32";
}

TEST(RandomWeights, AreTheSameForTheSameNames) {
  const WeightsView view = Weights::random("unet").view(at::kFloat);
  const at::Tensor first = view.tensor("conv.weight", {64, 32, 3, 3});
  EXPECT_TRUE(
      at::equal(first, Weights::random("unet").view(at::kFloat).tensor("conv.weight", {64, 32, 3, 3})));
  EXPECT_FALSE(at::equal(first, view.tensor("other.weight", {64, 32, 3, 3})));
  EXPECT_FALSE(
      at::equal(first, Weights::random("vae").view(at::kFloat).tensor("conv.weight", {64, 32, 3, 3})));
  EXPECT_NEAR(first.std().item<double>(), 1 / std::sqrt(32 * 9), 1e-3);
  EXPECT_TRUE(at::equal(view.tensor("norm.weight", {8}), at::ones({8})));
  EXPECT_TRUE(at::equal(view.tensor("norm.bias", {8}), at::zeros({8})));
  EXPECT_EQ(Weights::random("unet").view(at::kBFloat16).tensor("conv.weight", {4, 4, 1, 1}).scalar_type(),
            at::kBFloat16);
  EXPECT_TRUE(Weights::random("unet").unused().empty());
}

TEST(Rounds, MeasureEveryPartOfEveryRound) {
  const Pipeline pipeline(architecture("tiny"), at::kFloat);
  const Request request = pipeline.model().resolve(steps(3), {1, 2});
  const Limits limits{.warm_up = 1, .most_rounds = 4, .most_seconds = 1000, .spread = 0};
  int64_t steps_seen = 0;
  Rounds rounds = draw_rounds(pipeline, request, limits, [&](const RoundsProgress&) {
    ++steps_seen;
    return true;
  });
  EXPECT_EQ(steps_seen, 2 + 4 * 3) << "a warm-up of two steps, and four rounds";
  EXPECT_EQ(rounds.seconds.size(), 4U);
  EXPECT_EQ(rounds.text.seconds.size(), 4U);
  EXPECT_EQ(rounds.step.seconds.size(), 12U);
  EXPECT_EQ(rounds.decode.seconds.size(), 4U);
  EXPECT_FALSE(rounds.converged);
  EXPECT_TRUE(rounds.repeatable);
  EXPECT_EQ(rounds.failed_stage, "");
  ASSERT_EQ(rounds.pictures.size(), 2U);
  EXPECT_NE(rounds.pictures[0].pixels, rounds.pictures[1].pixels);
  Observer unseen;
  count_work(pipeline.model(), request, pipeline.words(request, unseen), rounds);
  EXPECT_EQ(rounds.step.flop, 4 * unet_work(pipeline.model().unet(), {8, 8}, kTokens).flop())
      << "two pictures, guided";
}

TEST(Rounds, EndWhenTheIntervalsAreNarrowOrTheTimeIsUp) {
  const Pipeline pipeline(architecture("tiny"), at::kFloat);
  const Request request = pipeline.model().resolve(steps(2), {1});
  const auto go_on = [](const RoundsProgress&) { return true; };
  const Rounds narrow = draw_rounds(pipeline, request, {.most_rounds = 50, .spread = 1000}, go_on);
  EXPECT_TRUE(narrow.converged);
  EXPECT_EQ(narrow.seconds.size(), 6U) << "fewer have no interval";
  const Rounds once = draw_rounds(pipeline, request, {.most_seconds = 0, .spread = 0}, go_on);
  EXPECT_EQ(once.seconds.size(), 1U);
  const Rounds stopped =
      draw_rounds(pipeline, request, {}, [](const RoundsProgress& progress) { return progress.round < 2; });
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.seconds.size(), 1U);
}

TEST(Peak, OfADeviceIsMoreThanNothing) { EXPECT_GT(measured_peak(at::kFloat), 1e8); }

}  // namespace
}  // namespace brume::bench
