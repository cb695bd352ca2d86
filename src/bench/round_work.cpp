#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "brume/bench/rounds.h"
#include "brume/bench/work.h"

namespace brume::bench {

namespace {

std::vector<ClipTextConfig> text_configs(const ModelSource& model) {
  std::vector<std::string> ignored;
  std::vector<ClipTextConfig> configs;
  for (const std::string& suffix : tower_suffixes(model.family()))
    configs.push_back(ClipTextConfig::read(model.config("text_encoder" + suffix), ignored));
  return configs;
}

/// Tokens of each text that the UNet reads, in the order of its rows: the negative prompt's, and those of the
/// prompt's parts.
std::vector<int64_t> tokens_of_rows(const PictureWords& words) {
  std::vector<int64_t> tokens;
  for (const PlannedPart& row : words.rows) tokens.push_back(words.texts[row.text_in(0)].context.size(1));
  return tokens;
}

}  // namespace

void count_work(const ModelConfig& model, const Request& request, const PictureWords& words, Rounds& rounds) {
  const MapSize latents{request.height / model.factor(), request.width / model.factor()};
  double text_flop = 0;
  for (const ClipTextConfig& text : text_configs(model.source())) {
    // A tower reads windows of as many tokens as it has places for, each by itself.
    const double window = text_work(text, text.max_tokens).flop();
    for (const Conditioning& one : words.texts) {
      const int64_t windows = one.context.size(1) / text.max_tokens;
      text_flop += window * static_cast<double>(windows);
    }
  }
  rounds.text.flop = text_flop;
  const double calls =
      static_cast<double>(network_calls(request.sampling)) / static_cast<double>(request.sampling.steps);
  // Of the rows that the guidance counts, one for each text, and more where the prompt has parts.
  double row_flop = 0;
  for (const int64_t tokens : tokens_of_rows(words))
    row_flop += unet_work(model.unet(), latents, tokens).flop();
  const double usual_rows = request.guidance.active() ? 2 : 1;
  const double rows = request.guidance.rows(request.sampling.steps) / usual_rows;
  rounds.step.flop = static_cast<double>(request.seeds.size()) * rows * calls * row_flop;
  // Tiles overlap, and how much is done twice is the decoder's own affair.
  if (request.decode == DecodeMode::kWhole) rounds.decode.flop = decode_work(model.vae(), latents).flop();
}

std::map<std::string, std::string> word_options(const ModelConfig& model, const Request& request,
                                                const PictureWords& words) {
  const std::vector<int64_t> tokens = tokens_of_rows(words);
  const int64_t window = text_configs(model.source()).front().max_tokens;
  const auto is_usual = [window](int64_t one) { return one == window; };
  const size_t usual_rows = request.guidance.active() ? 2 : 1;
  if (tokens.size() == usual_rows && std::all_of(tokens.begin(), tokens.end(), is_usual)) return {};
  std::string text;
  for (const int64_t one : tokens) text += (text.empty() ? "" : "+") + std::to_string(one);
  return {{kTokensOption, text}};
}

PromptWork prompt_work(const ModelConfig& model) {
  const std::vector<ClipTextConfig> texts = text_configs(model.source());
  PromptWork prompt{texts.front().max_tokens, {}};
  for (const ClipTextConfig& text : texts) prompt.work += text_work(text, prompt.tokens);
  return prompt;
}

double weight_bytes(const ModelConfig& model, at::ScalarType dtype) {
  const MapSize any{1, 1};
  Work rest = unet_work(model.unet(), any, 1);
  for (const ClipTextConfig& text : text_configs(model.source())) rest += text_work(text, 1);
  const Work vae = decode_work(model.vae(), any) + encode_work(model.vae(), any);
  constexpr double kRoundedUp = 1.001;  // of an allocator that rounds each tensor up to 512 bytes
  return kRoundedUp * (rest.parameters * static_cast<double>(c10::elementSize(dtype)) +
                       vae.parameters * static_cast<double>(c10::elementSize(model.vae_dtype(dtype))));
}

}  // namespace brume::bench
