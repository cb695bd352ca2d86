#include "brume/weights/adapters/adapters.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "brume/weights/safetensors.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

constexpr const char* kQ = "lora_unet_mid_block_attentions_0_to_q";
constexpr const char* kConv = "lora_unet_mid_block_resnets_0_conv1";

/// A model of three layers, and adapters for it.
class AdaptersTest : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    write("unet", {{"mid_block.attentions.0.to_q.weight", at::arange(6, at::kFloat).view({3, 2})},
                   {"mid_block.attentions.0.to_q.bias", at::ones({3})},
                   {"mid_block.resnets.0.conv1.weight", at::ones({4, 2, 3, 3})},
                   {"mid_block.resnets.0.norm1.weight", at::ones({2})}});
  }

  std::filesystem::path file(const std::string& name) const { return directory_ / (name + ".safetensors"); }
  void write(const std::string& name, const Tensors& tensors,
             const std::map<std::string, std::string>& metadata = {}) const {
    std::vector<TensorToWrite> entries;
    for (const auto& [key, tensor] : tensors) {
      const auto sizes = tensor.sizes();
      const StoredType type = tensor.scalar_type() == at::kLong ? StoredType::kI64 : StoredType::kF32;
      entries.push_back({key,
                         type,
                         {sizes.begin(), sizes.end()},
                         {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()}});
    }
    write_safetensors(file(name), std::move(entries), metadata);
  }

  Adapters open(const std::vector<AdapterChoice>& choices,
                UnmatchedKeys unmatched = UnmatchedKeys::kRemark) const {
    std::vector<AdaptedNetwork> networks;
    networks.push_back({AdapterTower::kUNet, "unet", Weights::open_file(file("unet"))});
    return Adapters(choices, networks, unmatched);
  }
  at::Tensor adapted(const Adapters& adapters, const std::string& tensor,
                     at::ScalarType dtype = at::kFloat) const {
    const Weights weights = adapters.adapt("unet", Weights::open_file(file("unet")));
    const WeightsView view = weights.view(dtype);
    return view.tensor(tensor, view.shape(tensor));
  }
  at::Tensor to_q(const std::vector<AdapterChoice>& choices) const {
    return adapted(open(choices), "mid_block.attentions.0.to_q.weight");
  }
  AdapterChoice choice(const std::string& name, const AdapterStrength& strength = {}) const {
    return {file(name), strength};
  }

  /// The message that the file of these tensors is refused with, when it is opened or read.
  std::string refused(const Tensors& tensors) const {
    write("bad", tensors);
    const std::string message = message_of([&] { to_q({choice("bad")}); }, ExitCode::kModelInvalid);
    EXPECT_EQ(message.find(file("bad").string()), 0U) << message;
    return message;
  }
};

std::string key(const char* module, const char* role) { return std::string(module) + "." + role; }

Tensors lora() {
  return {{key(kQ, "lora_up.weight"), at::tensor({1.0F, 2.0F, 3.0F}).view({3, 1})},
          {key(kQ, "lora_down.weight"), at::tensor({10.0F, 100.0F}).view({1, 2})}};
}

at::Tensor base() { return at::arange(6, at::kFloat).view({3, 2}); }
at::Tensor change() { return at::tensor({10.0F, 100.0F, 20.0F, 200.0F, 30.0F, 300.0F}).view({3, 2}); }

void expect_in(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
}

TEST_F(AdaptersTest, AreMergedWhenATensorIsRead) {
  write("a", lora());
  const Adapters adapters = open({choice("a", {.text = 9, .unet = 0.5})});
  EXPECT_TRUE(adapted(adapters, "mid_block.attentions.0.to_q.weight").equal(base() + 0.5 * change()));
  EXPECT_EQ(adapted(adapters, "mid_block.attentions.0.to_q.weight", at::kBFloat16).scalar_type(),
            at::kBFloat16);
  EXPECT_TRUE(adapted(adapters, "mid_block.resnets.0.norm1.weight").equal(at::ones({2})));
  EXPECT_TRUE(adapters.remarks().empty());
  ASSERT_EQ(adapters.records().size(), 1U);
  EXPECT_EQ(adapters.records()[0].name, "a");
  EXPECT_EQ(adapters.records()[0].strength, "9:0.5");
  EXPECT_EQ(adapters.records()[0].hash.size(), 64U);
  EXPECT_NE(adapters.records()[0].hash, adapters.records()[0].data_hash);
}

TEST_F(AdaptersTest, OthersOfTheModelStayAsTheyAre) {
  write("a", lora());
  const Adapters adapters = open({choice("a")});
  const Weights weights = adapters.adapt("unet", Weights::open_file(file("unet")));
  EXPECT_EQ(weights.names(), Weights::open_file(file("unet")).names());
  EXPECT_EQ(weights.files(), std::vector{file("unet")});
  EXPECT_EQ(weights.unused().size(), 4U);
  const WeightsView view = weights.view(at::kFloat);
  view.tensor("mid_block.attentions.0.to_q.weight", {3, 2});
  EXPECT_EQ(weights.unused().size(), 3U);
  expect_in(message_of([&] { view.tensor("x", {1}); }, ExitCode::kModelInvalid),
            {file("unet").string(), "\"x\""});
  EXPECT_THROW(view.tensor("mid_block.attentions.0.to_q.weight", {2, 3}), Error);
}

TEST_F(AdaptersTest, AlphaByRankScalesAndMayBeAnInteger) {
  for (const at::Tensor& alpha : {at::tensor(2.0F), at::tensor({2.0F}), at::tensor(int64_t{2})}) {
    Tensors tensors = lora();
    tensors[key(kQ, "alpha")] = alpha;
    write("a", tensors);
    EXPECT_TRUE(to_q({choice("a")}).equal(base() + 2 * change()));
  }
}

TEST_F(AdaptersTest, AlphaMayStandInTheMetadata) {
  write("a", lora(), {{"lora_adapter_metadata", R"({"unet.lora_alpha": 3, "text_encoder.lora_alpha": 9})"}});
  EXPECT_TRUE(to_q({choice("a")}).equal(base() + 3 * change()));
  write("a", lora(),
        {{"lora_adapter_metadata",
          R"({"unet.lora_alpha": 3, "unet.alpha_pattern": {"attentions.0.to_q": 4}})"}});
  EXPECT_TRUE(to_q({choice("a")}).equal(base() + 4 * change()));
  write("a", lora(), {{"network_alphas", R"({"unet.mid_block.attentions.0.to_q.alpha": 5})"}});
  EXPECT_TRUE(to_q({choice("a")}).equal(base() + 5 * change()));
  write("a", lora(), {{"lora_adapter_metadata", "[[[[[[[["}});
  expect_in(message_of([&] { to_q({choice("a")}); }, ExitCode::kModelInvalid),
            {file("a").string(), "metadata"});
}

TEST_F(AdaptersTest, RootOfRank) {
  const Tensors tensors{{key(kQ, "lora_up.weight"), at::ones({3, 4})},
                        {key(kQ, "lora_down.weight"), at::ones({4, 2})}};
  write("a", tensors, {{"lora_adapter_metadata", R"({"unet.lora_alpha": 6, "unet.use_rslora": true})"}});
  EXPECT_TRUE(to_q({choice("a")}).equal(base() + 6.0 / 2 * 4));
}

TEST_F(AdaptersTest, SeveralAreMergedOneAfterTheOther) {
  write("a", lora());
  write("b", {{"unet.mid_block.attentions.0.to_q.diff", at::ones({3, 2})},
              {"unet.mid_block.attentions.0.to_q.diff_b", at::full({3}, 4.0F)}});
  EXPECT_TRUE(to_q({choice("a"), choice("b", {1, -2, {}}), choice("a")}).equal(base() + 2 * change() - 2));
  EXPECT_TRUE(adapted(open({choice("b", {1, 0.5, {}})}), "mid_block.attentions.0.to_q.bias")
                  .equal(at::full({3}, 3.0F)));
}

TEST_F(AdaptersTest, AStrengthOfNothingChangesNothing) {
  Tensors tensors = lora();
  tensors[key(kQ, "lora_up.weight")].fill_(std::numeric_limits<float>::quiet_NaN());
  write("a", tensors);
  EXPECT_TRUE(to_q({choice("a", {1, 0, {}})}).equal(base()));
}

TEST_F(AdaptersTest, KeysThatFitNothingAreListedOrRefused) {
  Tensors tensors = lora();
  tensors["bundle_emb.cat"] = at::ones({1});
  tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.diff"] = at::ones({1});
  tensors["lora_unet_nowhere.diff"] = at::ones({1});
  tensors["lora_unet_mid_block_resnets_0_norm1.diff_b"] = at::ones({2});
  write("a", tensors);
  const Adapters adapters = open({choice("a")});
  ASSERT_EQ(adapters.remarks().size(), 1U);
  expect_in(adapters.remarks()[0], {"a: 4 of 6 keys", "bundle_emb.cat", "lora_unet_nowhere.diff", ", ..."});
  expect_in(message_of([&] { open({choice("a")}, UnmatchedKeys::kRefuse); }, ExitCode::kModelInvalid),
            {file("a").string(), "4 of 6 keys", "--strict"});
  expect_in(refused({{"lora_unet_nowhere.diff", at::ones({1})}}), {"1 of 1 keys", "lora_unet_nowhere.diff"});
}

TEST_F(AdaptersTest, AnotherShapeNamesTheKeyAndBothShapes) {
  Tensors tensors = lora();
  tensors[key(kQ, "lora_up.weight")] = at::ones({5, 1});
  expect_in(refused(tensors),
            {key(kQ, "lora_down.weight"), "[5, 2]", "[3, 2]", "mid_block.attentions.0.to_q.weight"});
  tensors = lora();
  tensors[key(kQ, "lora_down.weight")] = at::ones({1, 2, 3, 3});
  expect_in(refused(tensors), {"[3, 2, 3, 3]", "[3, 2]"});
  expect_in(refused({{key(kConv, "diff"), at::ones({4, 2})}}), {"[4, 2]", "[4, 2, 3, 3]"});
  expect_in(refused({{key(kQ, "diff"), at::ones({3, 2})}, {key(kQ, "diff_b"), at::ones({2})}}),
            {"[2]", "[3]", "diff_b"});
  tensors = lora();
  tensors[key(kQ, "dora_scale")] = at::ones({2, 1});
  expect_in(refused(tensors), {key(kQ, "dora_scale"), "[2, 1]", "[3, 2]"});
}

TEST_F(AdaptersTest, FactorsThatDoNotFitEachOtherAreNamed) {
  Tensors tensors = lora();
  tensors[key(kQ, "lora_down.weight")] = at::ones({2, 2});
  expect_in(refused(tensors), {key(kQ, "lora_up.weight"), "[3, 1]", key(kQ, "lora_down.weight"), "[2, 2]"});
  expect_in(refused({{key(kQ, "lora_up.weight"), at::ones({3, 1})}}),
            {key(kQ, "lora_up.weight"), "lora_down"});
  expect_in(refused({{key(kQ, "lora_down.weight"), at::ones({1, 2})}}),
            {key(kQ, "lora_down.weight"), "lora_up"});
  expect_in(refused({{key(kQ, "alpha"), at::ones({1})}}), {key(kQ, "alpha"), "without factors"});
  expect_in(refused({{key(kQ, "hada_w1_a"), at::ones({3, 1})}}), {"hada_w1_b"});
  expect_in(refused({{key(kQ, "lokr_w1"), at::ones({3, 1})}}), {"lokr_w2"});
  expect_in(refused({{key(kQ, "lora_B.bias"), at::ones({3})}}), {"without factors"});
  expect_in(refused({{key(kQ, "lora_up.weight"), at::ones({3, 0})},
                     {key(kQ, "lora_down.weight"), at::ones({0, 2})}}),
            {"[3, 0]"});
  tensors = lora();
  tensors[key(kQ, "diff")] = at::ones({3, 2});
  expect_in(refused(tensors), {"two kinds"});
}

TEST_F(AdaptersTest, TheSameOfOneLayerTwiceIsRefused) {
  Tensors tensors = lora();
  tensors["unet.mid_block.attentions.0.to_q.lora_A.weight"] = at::ones({1, 2});
  expect_in(refused(tensors),
            {key(kQ, "lora_down.weight"), "unet.mid_block.attentions.0.to_q.lora_A.weight"});
}

TEST_F(AdaptersTest, AnAlphaOfNonsenseIsRefused) {
  for (const at::Tensor& alpha :
       {at::tensor(std::numeric_limits<float>::infinity()), at::tensor(-1.0F),
        at::tensor(std::numeric_limits<float>::quiet_NaN()), at::ones({2}), at::ones({0})}) {
    Tensors tensors = lora();
    tensors[key(kQ, "alpha")] = alpha;
    expect_in(refused(tensors), {key(kQ, "alpha")});
  }
}

TEST_F(AdaptersTest, NumbersThatAreNotFiniteAreRefusedByTheirKey) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38F}) {
    Tensors tensors = lora();
    tensors[key(kQ, "lora_down.weight")][0][1] = bad;
    expect_in(refused(tensors), {key(kQ, "lora_down.weight"), "not finite"});
  }
}

TEST_F(AdaptersTest, FilesThatAreNone) {
  expect_in(message_of([&] { open({choice("absent")}); }, ExitCode::kModelInvalid),
            {file("absent").string()});
  expect_in(message_of([&] { open({choice("unet")}); }, ExitCode::kModelInvalid), {"4 of 4 keys"});
}

/// A UNet that sees more than latents, for inpainting (9 channels) or editing (8), and adapters made for one
/// that does not.
class WideUNet : public AdaptersTest, public ::testing::WithParamInterface<int64_t> {
 protected:
  void SetUp() override {
    AdaptersTest::SetUp();
    write("unet", {{"conv_in.weight", at::arange(27 * GetParam(), at::kFloat).view({3, GetParam(), 3, 3})},
                   {"conv_out.weight", at::ones({4, 3, 3, 3})}});
  }
  static Tensors of_latents(const char* module) {
    return {{key(module, "lora_up.weight"), at::tensor({1.0F, 2.0F, 3.0F}).view({3, 1, 1, 1})},
            {key(module, "lora_down.weight"), at::arange(36, at::kFloat).view({1, 4, 3, 3})}};
  }
};

TEST_P(WideUNet, IsChangedWhereItSeesLatents) {
  at::Tensor wanted = at::arange(27 * GetParam(), at::kFloat).view({3, GetParam(), 3, 3}).clone();
  wanted.narrow(1, 0, 4) +=
      0.5 * at::tensor({1.0F, 2.0F, 3.0F}).view({3, 1, 1, 1}) * at::arange(36, at::kFloat).view({4, 3, 3});
  Tensors flat{{"lora_unet_conv_in.hada_w1_a", at::tensor({1.0F, 2.0F, 3.0F}).view({3, 1})},
               {"lora_unet_conv_in.hada_w1_b", at::arange(36, at::kFloat).view({1, 36})},
               {"lora_unet_conv_in.hada_w2_a", at::ones({3, 1})},
               {"lora_unet_conv_in.hada_w2_b", at::ones({1, 36})}};
  for (const Tensors& tensors :
       {of_latents("lora_unet_conv_in"), of_latents("lora_unet_input_blocks_0_0"), flat}) {
    write("a", tensors);
    const Adapters adapters = open({choice("a", {.text = 1, .unet = 0.5})});
    EXPECT_TRUE(adapted(adapters, "conv_in.weight").equal(wanted));
    ASSERT_EQ(adapters.remarks().size(), 1U);
    expect_in(adapters.remarks()[0], {"a: conv_in is changed for the 4 channels of the latents alone",
                                      "the model's " + std::to_string(GetParam())});
  }
}

TEST_P(WideUNet, IsNotChangedByWhatFitsNeither) {
  const auto refused_as = [&](const Tensors& tensors) {
    write("bad", tensors);
    return message_of([&] { open({choice("bad")}); }, ExitCode::kModelInvalid);
  };
  const std::string wide = "[3, " + std::to_string(GetParam()) + ", 3, 3]";
  expect_in(refused_as({{"lora_unet_conv_in.diff", at::ones({3, 5, 3, 3})}}), {"[3, 5, 3, 3]", wide});
  Tensors tensors = of_latents("lora_unet_conv_in");
  tensors["lora_unet_conv_in.dora_scale"] = at::ones({3, 1, 1, 1});
  expect_in(refused_as(tensors),
            {"lora_unet_conv_in.dora_scale", "DoRA of 4 input channels", std::to_string(GetParam())});
}

INSTANTIATE_TEST_SUITE_P(Channels, WideUNet, ::testing::Values(9, 8));

/// Remembers the shapes of what it was asked for.
class RememberingLoader : public TensorLoader {
 public:
  at::Tensor load(at::IntArrayRef shape, at::ScalarType type, const PartReader& read) override {
    shapes.push_back(shape.vec());
    at::Tensor loaded = at::empty(shape, at::TensorOptions(type));
    read(0, {static_cast<std::byte*>(loaded.data_ptr()), loaded.nbytes()});
    return loaded;
  }
  std::vector<std::vector<int64_t>> shapes;
};

TEST_F(AdaptersTest, ALoaderBringsWhatIsNotChanged) {
  write("a", lora());
  const Weights weights = open({choice("a")}).adapt("unet", Weights::open_file(file("unet")));
  const auto loader = std::make_shared<RememberingLoader>();
  const WeightsView view = weights.view(at::kFloat, loader);
  EXPECT_TRUE(view.tensor("mid_block.attentions.0.to_q.weight", {3, 2}).equal(base() + change()));
  EXPECT_TRUE(loader->shapes.empty());
  EXPECT_TRUE(view.tensor("mid_block.resnets.0.norm1.weight", {2}).equal(at::ones({2})));
  EXPECT_EQ(loader->shapes, (std::vector<std::vector<int64_t>>{{2}}));
}

TEST_F(AdaptersTest, BlockFactorsMustFitTheUNet) {
  write("a", lora());
  // Its blocks: none each way, and the middle.
  expect_in(message_of(
                [&] {
                  open({choice("a", {1, 1, {1, 1, 1}})});
                },
                ExitCode::kUsage),
            {"3 factors", "has 2"});
  EXPECT_TRUE(to_q({choice("a", {1, 0.5, {1, 3}})}).equal(base() + 1.5 * change()));
}

}  // namespace
}  // namespace brume
