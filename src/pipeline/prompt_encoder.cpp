#include "brume/pipeline/prompt_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "brume/base/error.h"
#include "brume/weights/weights.h"
#include "remarks.h"

namespace brume {

namespace {

TextTower open_tower(const ModelSource& model, const std::string& suffix, at::ScalarType dtype,
                     std::vector<std::string>& remarks) {
  const std::string name = "text_encoder" + suffix;
  const ClipTextConfig config = ClipTextConfig::read(model.config(name), remarks);
  const Weights weights = model.weights(name);
  TextTower tower{model.tokenizer("tokenizer" + suffix), ClipTextEncoder(weights.view(dtype), config)};
  append_unused(weights, name, remarks);
  if (tower.tokenizer.max_length() > config.max_tokens) {
    throw Error(ExitCode::kModelInvalid, model.config_name(name),
                "max_position_embeddings: " + std::to_string(config.max_tokens) +
                    " is less than the tokenizer's " + std::to_string(tower.tokenizer.max_length()) +
                    " tokens");
  }
  if (tower.tokenizer.size() > config.vocab_size) {
    throw Error(ExitCode::kModelInvalid, model.config_name(name),
                "vocab_size: " + std::to_string(config.vocab_size) + " is less than the tokenizer's " +
                    std::to_string(tower.tokenizer.size()) + " entries");
  }
  return tower;
}

at::Tensor to_tensor(const std::vector<int64_t>& ids) {
  return at::tensor(ids, at::TensorOptions(at::kLong)).unsqueeze(0);  // [1, T]
}

const at::Tensor& layer_from_end(const TextStates& states, int64_t from_end) {
  const auto count = static_cast<int64_t>(states.hidden.size());
  if (from_end > count) {
    throw Error(ExitCode::kUsage, "--clip-skip", "larger than the layers of this model's text encoder",
                "use at most " + std::to_string(count - 1));
  }
  return states.hidden[static_cast<size_t>(count - from_end)];
}

}  // namespace

PromptEncoder::PromptEncoder(const ModelSource& model, at::ScalarType dtype,
                             std::vector<std::string>& remarks)
    : family_(model.family()), zero_empty_negative_(model.facts().zero_empty_negative) {
  towers_.push_back(open_tower(model, "", dtype, remarks));
  if (family_ != ModelFamily::kStableDiffusionXl) return;
  towers_.push_back(open_tower(model, "_2", dtype, remarks));
  const int64_t first = towers_.front().tokenizer.max_length();
  const int64_t second = towers_.back().tokenizer.max_length();
  if (first == second) return;
  throw Error(ExitCode::kModelInvalid, (model.path() / "tokenizer_2").string(),
              "reads " + std::to_string(second) + " tokens, but tokenizer reads " + std::to_string(first),
              "both encoders must read as many");
}

EncodedPrompt PromptEncoder::encode(const std::string& prompt, int64_t clip_skip, Observer& observer) const {
  EncodedPrompt result;
  std::vector<at::Tensor> contexts;
  for (size_t i = 0; i < towers_.size(); ++i) {
    const TextTower& tower = towers_[i];
    const at::Tensor ids = to_tensor(tower.tokenizer.encode_padded(prompt).ids);
    observer.on_stage(i == 0 ? "ids" : "ids_2", ids);
    const TextStates states = tower.encoder(ids);
    if (family_ == ModelFamily::kStableDiffusionXl) {
      contexts.push_back(
          layer_from_end(states, clip_skip + 1));  // trained on the layer before the last, without its norm
    } else {
      contexts.push_back(tower.encoder.final_norm(layer_from_end(states, clip_skip)));
    }
    result.pooled = states.pooled;  // SDXL's is that of its second tower
  }
  result.context = at::cat(contexts, -1);
  return result;
}

EncodedPrompt PromptEncoder::encode_negative(const std::optional<std::string>& prompt) const {
  Observer unseen;  // the stage "ids" is that of the prompt
  EncodedPrompt encoded = encode(prompt.value_or(""), /*clip_skip=*/1, unseen);
  if (prompt || !zero_empty_negative_) return encoded;
  return {at::zeros_like(encoded.context), at::zeros_like(encoded.pooled)};
}

int64_t PromptEncoder::tokens_cut(const std::string& prompt) const {
  int64_t most = 0;
  for (const TextTower& tower : towers_) {
    most = std::max(most, tower.tokenizer.encode_padded(prompt).cut);
  }
  return most;
}

int64_t PromptEncoder::context_width() const {
  int64_t width = 0;
  for (const TextTower& tower : towers_) width += tower.encoder.config().width;
  return width;
}

std::optional<int64_t> PromptEncoder::pooled_width() const {
  return towers_.back().encoder.config().projection_width;
}

}  // namespace brume
