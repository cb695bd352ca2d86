#include <gtest/gtest.h>

#include "brume/text/clip_text_encoder.h"
#include "brume/text/tokenizer.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

ClipTextEncoder open_encoder(const std::filesystem::path& directory) {
  std::vector<std::string> ignored;
  const ClipTextConfig config = ClipTextConfig::read(ConfigFile(directory / "config.json"), ignored);
  const Weights weights = Weights::open(directory, "model");
  ClipTextEncoder encoder(weights.view(at::kFloat), config);
  EXPECT_TRUE(weights.unused().empty()) << weights.unused().front();
  EXPECT_TRUE(ignored.empty()) << ignored.front();
  return encoder;
}

at::Tensor tokenize(const Tokenizer& tokenizer, const nlohmann::json& texts) {
  std::vector<at::Tensor> rows;
  for (const auto& text : texts)
    rows.push_back(at::tensor(tokenizer.encode_padded(text.get<std::string>()).ids));
  return at::stack(rows);
}

/// The tower whose folders and tensors end in `suffix`.
void expect_tower_agrees(const std::string& family, const std::string& suffix) {
  const ReferenceCase reference("cases/" + family + "_text");
  const Tokenizer tokenizer = Tokenizer::open(reference_path(family) / ("tokenizer" + suffix));
  const at::Tensor ids = tokenize(tokenizer, reference.parameters()["texts"]);
  EXPECT_TRUE(ids.equal(reference.integers("ids" + suffix)));

  const ClipTextEncoder encoder = open_encoder(reference_path(family) / ("text_encoder" + suffix));
  const TextStates states = encoder(ids.narrow(0, 0, reference.parameters()["encoded_texts"].get<int64_t>()));
  ASSERT_GT(states.hidden.size(), 1U);
  for (size_t k = 0; k < states.hidden.size(); ++k) {
    const std::string name = "hidden_state_" + std::to_string(k) + suffix;
    // The reference calls the normed last layer by both names.
    const bool last = k + 1 == states.hidden.size();
    if (!last || reference.has(name)) expect_close(states.hidden[k], reference.tensor(name), name);
  }
  expect_close(encoder.final_norm(states.hidden.back()), reference.tensor("last_hidden_state" + suffix),
               "last state");
  if (encoder.config().projection_width) {
    expect_close(states.pooled, reference.tensor("text_embeds" + suffix), "pooled");
  }
}

TEST(TextOfFamily, Sd1AgreesWithTransformers) { expect_tower_agrees("sd1", ""); }
TEST(TextOfFamily, Sd2AgreesWithTransformers) { expect_tower_agrees("sd2", ""); }
TEST(TextOfFamily, SdxlAgreesWithTransformers) {
  expect_tower_agrees("sdxl", "");
  expect_tower_agrees("sdxl", "_2");
}

}  // namespace
}  // namespace brume::testing
