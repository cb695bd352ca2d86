#include "brume/weights/weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <memory>

#include "brume/base/error.h"
#include "brume/weights/safetensors.h"
#include "temporary_directory.h"

namespace brume {
namespace {

class WeightsTest : public TemporaryDirectory {
 protected:
  /// A file of F32 tensors of shape [2, 1], each 1 and -2.
  void write(const std::string& file, const std::vector<std::string>& names) const {
    std::vector<TensorToWrite> tensors;
    for (const std::string& name : names)
      tensors.push_back({name, StoredType::kF32, {2, 1}, std::as_bytes(std::span(kValues))});
    write_safetensors(directory_ / file, tensors, {});
  }
  void write_text(const std::string& file, const std::string& text) const {
    std::ofstream(directory_ / file) << text;
  }

  template <class Action>
  static std::string message_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kModelInvalid);
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
  }

  static constexpr std::array<float, 2> kValues{1, -2};
};

at::Tensor expected() { return at::tensor({1.0F, -2.0F}).reshape({2, 1}); }

TEST_F(WeightsTest, ViewsNameTheirParts) {
  write("m.safetensors", {"down.0.conv.weight", "down.0.conv.bias"});
  const Weights weights = Weights::open(directory_, "m");
  const WeightsView conv = weights.view(at::kFloat) / "down" / 0 / "conv";
  EXPECT_EQ(conv.full_name("weight"), "down.0.conv.weight");
  EXPECT_TRUE(conv.contains("weight"));
  EXPECT_FALSE(conv.contains("gain"));
  EXPECT_EQ(conv.shape("bias"), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(weights.unused(), (std::vector<std::string>{"down.0.conv.bias", "down.0.conv.weight"}));
  EXPECT_TRUE(conv.tensor("weight", {2, 1}).equal(expected()));
  EXPECT_EQ(weights.unused(), std::vector<std::string>{"down.0.conv.bias"});
  EXPECT_FALSE(conv.find("gain", {2}).has_value());
  EXPECT_EQ(weights.files(), std::vector<std::filesystem::path>{directory_ / "m.safetensors"});
}

TEST_F(WeightsTest, PositionIdsAreNotListedAsUnused) {
  write("m.safetensors", {"text_model.embeddings.position_ids", "logit_scale"});
  EXPECT_EQ(Weights::open(directory_, "m").unused(), std::vector<std::string>{"logit_scale"});
}

TEST_F(WeightsTest, TheAutoencodersOldNamesAreUnderstood) {
  const std::string place = "decoder.mid_block.attentions.0.";
  write("m.safetensors", {place + "query.weight", place + "key.bias", place + "value.weight",
                          place + "proj_attn.weight", place + "group_norm.weight", "query.weight"});
  EXPECT_EQ(
      Weights::open(directory_, "m").unused(),
      (std::vector<std::string>{place + "group_norm.weight", place + "to_k.bias", place + "to_out.0.weight",
                                place + "to_q.weight", place + "to_v.weight", "query.weight"}));
}

TEST_F(WeightsTest, PartsOfATensorAreReadInTheirShape) {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_safetensors(directory_ / "m.safetensors",
                    {{"fused", StoredType::kF32, {6, 2}, std::as_bytes(std::span(values))}}, {});
  const auto file = std::make_shared<SafetensorsFile>(directory_ / "m.safetensors");
  const StoredTensor* stored = &file->header().tensors.front();
  const ComponentTensors parts{{"second", {stored, {2, 2}, 4, Axes::kAsStored}},
                               {"flat", {stored, {12}, 0, Axes::kAsStored}},
                               {"swapped", {stored, {2, 6}, 0, Axes::kSwapped}},
                               {"past", {stored, {2, 2}, 9, Axes::kAsStored}}};
  const Weights weights = Weights::part_of(file, parts, "a part");
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const WeightsView view = weights.view(dtype);
    const at::Tensor all = at::arange(12).to(dtype);
    EXPECT_TRUE(view.tensor("second", {2, 2}).equal(all.narrow(0, 4, 4).view({2, 2})));
    EXPECT_TRUE(view.tensor("flat", {12}).equal(all));
    const at::Tensor swapped = view.tensor("swapped", {2, 6});
    EXPECT_TRUE(swapped.is_contiguous());
    EXPECT_TRUE(swapped.equal(all.view({6, 2}).t()));
    EXPECT_NE(message_of([&] {
                view.tensor("past", {2, 2});
              }).find("\"fused\" ends before its part does"),
              std::string::npos);
  }
}

TEST_F(WeightsTest, AMissingTensorIsNamedInFullWithItsFile) {
  write("m.safetensors", {"a.weight"});
  const WeightsView view = Weights::open(directory_, "m").view(at::kFloat) / "mid" / 3;
  const std::string file = (directory_ / "m.safetensors").string();
  EXPECT_EQ(
      message_of([&] { view.tensor("weight", {1}); }).find(file + ": tensor \"mid.3.weight\" is missing"),
      0U);
  EXPECT_EQ(message_of([&] { view.shape("weight"); }).find(file + ": tensor \"mid.3.weight\" is missing"),
            0U);
}

TEST_F(WeightsTest, AnotherShapeIsRefused) {
  write("m.safetensors", {"a"});
  const WeightsView view = Weights::open(directory_, "m").view(at::kFloat);
  EXPECT_NE(message_of([&] {
              view.tensor("a", {1, 2});
            }).find("tensor \"a\" has shape [2, 1], not [1, 2]"),
            std::string::npos);
  message_of([&] { view.tensor("a", {2}); });
  message_of([&] { view.find("a", {2, 1, 1}); });
  message_of([&] { view.find("a", {2, -1}); });
}

TEST_F(WeightsTest, StoredFloatsConvert) {
  const std::vector<std::pair<StoredType, at::ScalarType>> types{
      {StoredType::kF64, at::kDouble},
      {StoredType::kF32, at::kFloat},
      {StoredType::kF16, at::kHalf},
      {StoredType::kBF16, at::kBFloat16},
      {StoredType::kF8E4M3, at::kFloat8_e4m3fn},
      {StoredType::kF8E5M2, at::kFloat8_e5m2},
      {StoredType::kF8E4M3FNUZ, at::kFloat8_e4m3fnuz},
      {StoredType::kF8E5M2FNUZ, at::kFloat8_e5m2fnuz}};
  for (const auto& [stored, type] : types) {
    const at::Tensor source = expected().to(type);
    write_safetensors(
        directory_ / "m.safetensors",
        {{"a", stored, {2, 1}, {static_cast<const std::byte*>(source.data_ptr()), source.nbytes()}}}, {});
    for (const at::ScalarType wanted : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor got = Weights::open(directory_, "m").view(wanted).tensor("a", {2, 1});
      EXPECT_EQ(got.scalar_type(), wanted);
      EXPECT_TRUE(got.is_contiguous());
      EXPECT_TRUE(got.to(at::kFloat).equal(expected())) << stored_type_name(stored);
    }
  }
}

TEST_F(WeightsTest, TypesWithoutRealNumbersAreRefusedByName) {
  const std::array<std::byte, 64> zeros{};
  for (const StoredType type : {StoredType::kI64, StoredType::kU8, StoredType::kBool, StoredType::kC64,
                                StoredType::kF4, StoredType::kF8E8M0}) {
    const auto bytes = std::span<const std::byte>(zeros).first(static_cast<size_t>(stored_type_bits(type)));
    write_safetensors(directory_ / "m.safetensors", {{"q.weight", type, {8}, bytes}}, {});
    const WeightsView view = Weights::open(directory_, "m").view(at::kFloat) / "q";
    EXPECT_NE(message_of([&] {
                view.tensor("weight", {8});
              }).find("tensor \"q.weight\" is stored as " + std::string(stored_type_name(type))),
              std::string::npos);
  }
}

TEST_F(WeightsTest, ScalarsAndEmptyTensors) {
  write_safetensors(directory_ / "m.safetensors",
                    {{"s", StoredType::kF32, {}, std::as_bytes(std::span(kValues).first(1))},
                     {"z", StoredType::kF32, {0, 3}, {}}},
                    {});
  const WeightsView view = Weights::open(directory_, "m").view(at::kFloat);
  EXPECT_EQ(view.tensor("s", {}).item<float>(), 1.0F);
  EXPECT_EQ(view.tensor("z", {0, 3}).numel(), 0);
}

TEST_F(WeightsTest, ShardsReadAsOne) {
  write("m-1.safetensors", {"a"});
  write("m-2.safetensors", {"b"});
  write_text("m.safetensors.index.json", R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  const Weights weights = Weights::open(directory_, "m");
  const WeightsView view = weights.view(at::kFloat);
  EXPECT_TRUE(view.tensor("b", {2, 1}).equal(expected()));
  EXPECT_EQ(weights.files().size(), 2U);
  EXPECT_EQ(weights.unused(), std::vector<std::string>{"a"});
  EXPECT_NE(
      message_of([&] { view.tensor("c", {1}); }).find("m.safetensors.index.json: tensor \"c\" is missing"),
      std::string::npos);
}

TEST_F(WeightsTest, ShardsThatEscapeAreRefused) {
  std::filesystem::create_directory(directory_ / "unet");
  write("a.safetensors", {"a"});
  std::filesystem::create_symlink("../a.safetensors", directory_ / "unet" / "b.safetensors");
  for (const char* shard : {"../a.safetensors", "b.safetensors", "/etc/passwd"}) {
    write_text("unet/m.safetensors.index.json", std::string(R"({"weight_map":{"a":")") + shard + "\"}}");
    EXPECT_NE(message_of([&] { Weights::open(directory_ / "unet", "m"); }).find(shard), std::string::npos);
  }
}

TEST_F(WeightsTest, TheFp16VariantIsTheFallback) {
  write("m-1.fp16.safetensors", {"sharded"});
  write_text("m.safetensors.index.fp16.json", R"({"weight_map":{"sharded":"m-1.fp16.safetensors"}})");
  EXPECT_EQ(Weights::open(directory_, "m").unused(), std::vector<std::string>{"sharded"});
  write("m.fp16.safetensors", {"half"});
  EXPECT_EQ(Weights::open(directory_, "m").unused(), std::vector<std::string>{"half"});
  write("m.safetensors", {"full"});
  EXPECT_EQ(Weights::open(directory_, "m").unused(), std::vector<std::string>{"full"});
}

TEST_F(WeightsTest, AMissingComponentSaysWhatWasLookedFor) {
  const std::string message = message_of([&] { Weights::open(directory_, "m"); });
  EXPECT_EQ(message.find(directory_.string()), 0U);
  for (const char* name : {"m.safetensors,", "m.safetensors.index.json,", "m.fp16.safetensors,"})
    EXPECT_NE(message.find(name), std::string::npos) << message;
}

TEST_F(WeightsTest, S27_AFileWithoutTensorsIsNoModel) {
  write("m.safetensors", {});
  EXPECT_NE(message_of([&] { Weights::open(directory_, "m"); }).find("holds no tensors"), std::string::npos);
}

}  // namespace
}  // namespace brume
