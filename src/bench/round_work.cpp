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

}  // namespace

void count_work(const Pipeline& pipeline, const Request& request, Rounds& rounds) {
  const ModelConfig& model = pipeline.model();
  const MapSize latents{request.height / model.factor(), request.width / model.factor()};
  const double texts = request.guidance.active() ? 2 : 1;
  const double rows =
      request.guidance.rows(request.sampling.steps) * static_cast<double>(request.seeds.size());
  Observer unseen;
  const int64_t tokens = pipeline.words(request, unseen).texts.back().context.size(1);
  Work words;
  for (const ClipTextConfig& text : text_configs(model.source())) words += text_work(text, tokens);
  rounds.text.flop = texts * words.flop();
  const double calls =
      static_cast<double>(network_calls(request.sampling)) / static_cast<double>(request.sampling.steps);
  rounds.step.flop = rows * calls * unet_work(model.unet(), latents, tokens).flop();
  // Tiles overlap, and how much is done twice is the decoder's own affair.
  if (request.decode == DecodeMode::kWhole) rounds.decode.flop = decode_work(model.vae(), latents).flop();
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
