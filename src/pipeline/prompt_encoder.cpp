#include "brume/pipeline/prompt_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "brume/base/error.h"
#include "brume/weights/weights.h"
#include "remarks.h"

namespace brume {

namespace {

TextTower open_tower(const ModelSource& model, const std::string& suffix, const Placement& placement,
                     const std::shared_ptr<TensorLoader>& loader, std::vector<std::string>& remarks) {
  const std::string name = "text_encoder" + suffix;
  const ClipTextConfig config = ClipTextConfig::read(model.config(name), remarks);
  const Weights weights = model.weights(name);
  TextTower tower{model.tokenizer("tokenizer" + suffix),
                  ClipTextEncoder(weights.view(placement, loader), config)};
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

/// What a tower reads of a text: the ids of its windows, and their weights where they are not all 1.
struct TowerInput {
  at::Tensor ids;      // [windows, T] int64
  at::Tensor weights;  // [windows, T] fp32, or undefined
};

TowerInput tower_input(const Tokenizer& tokenizer, const TokenChunks& windows) {
  std::vector<at::Tensor> ids;
  std::vector<at::Tensor> weights;
  ids.reserve(windows.chunks.size());
  weights.reserve(windows.chunks.size());
  bool plain = true;
  for (const TokenChunk& chunk : windows.chunks) {
    ids.push_back(at::tensor(window_ids(tokenizer, chunk), at::TensorOptions(at::kLong)));
    weights.push_back(at::tensor(window_weights(tokenizer, chunk), at::TensorOptions(at::kFloat)));
    plain = plain && std::all_of(chunk.weights.begin(), chunk.weights.end(), [](double w) { return w == 1; });
  }
  return {at::stack(ids), plain ? at::Tensor() : at::stack(weights)};
}

/// Multiplies words [windows, T, D] by their weights [windows, T] and gives each window its mean back.
at::Tensor emphasised(const at::Tensor& words, const at::Tensor& weights) {
  if (!weights.defined()) return words;
  const at::Tensor exact = words.to(at::kFloat);
  const at::Tensor weighted = exact * weights.to(exact.device()).unsqueeze(-1);
  const at::Tensor ratio = exact.mean({1, 2}, true) / weighted.mean({1, 2}, true);  // [windows, 1, 1]
  return (weighted * at::where(ratio.isfinite(), ratio, at::ones_like(ratio))).to(words.scalar_type());
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

PromptEncoder::PromptEncoder(const ModelSource& model, std::shared_ptr<const Embeddings> embeddings,
                             const Placement& placement, const std::shared_ptr<TensorLoader>& loader,
                             std::vector<std::string>& remarks)
    : family_(model.family()),
      zero_empty_negative_(model.facts().zero_empty_negative),
      embeddings_(std::move(embeddings)) {
  for (const std::string& suffix : tower_suffixes(family_))
    towers_.push_back(open_tower(model, suffix, placement, loader, remarks));
  const int64_t first = towers_.front().tokenizer.max_length();
  const int64_t last = towers_.back().tokenizer.max_length();
  if (first == last) return;
  throw Error(ExitCode::kModelInvalid, (model.path() / "tokenizer_2").string(),
              "reads " + std::to_string(last) + " tokens, but tokenizer reads " + std::to_string(first),
              "both encoders must read as many");
}

const EmbeddingWords* PromptEncoder::words_of(size_t tower) const {
  return embeddings_ ? &embeddings_->words(tower) : nullptr;
}

ExtraVectors PromptEncoder::vectors_of(size_t tower) const {
  if (!embeddings_) return {};
  return {towers_[tower].tokenizer.size(), embeddings_->vectors(tower)};
}

/// Of each tower, as many as any of them has.
std::vector<TokenChunks> PromptEncoder::windows(const std::string& text, Compat compat) const {
  std::vector<TokenChunks> all;
  all.reserve(towers_.size());
  size_t most = 0;
  for (size_t i = 0; i < towers_.size(); ++i) {
    all.push_back(chunk_text(towers_[i].tokenizer, text, compat, words_of(i)));
    most = std::max(most, all.back().chunks.size());
  }
  for (TokenChunks& windows : all) windows.chunks.resize(most);
  return all;
}

EncodedPrompt PromptEncoder::encode(const std::string& text, Compat compat, int64_t clip_skip,
                                    Observer& observer) const {
  EncodedPrompt result;
  const std::vector<TokenChunks> all = windows(text, compat);
  std::vector<at::Tensor> contexts;
  at::Tensor first_weights;
  for (size_t i = 0; i < towers_.size(); ++i) {
    const TextTower& tower = towers_[i];
    const TowerInput input = tower_input(tower.tokenizer, all[i]);
    observer.on_stage(i == 0 ? "ids" : "ids_2", input.ids);
    const TextStates states = tower.encoder(input.ids, vectors_of(i));
    if (i == 0) first_weights = input.weights;
    // SDXL was trained on the layer before the last, without its norm.
    const at::Tensor words = is_xl(family_) ? layer_from_end(states, clip_skip + 1)
                                            : tower.encoder.final_norm(layer_from_end(states, clip_skip));
    contexts.push_back(compat == Compat::kSdCpp ? words : emphasised(words, input.weights));
    result.pooled = states.pooled.narrow(0, 0, 1);  // SDXL's is that of its second tower
  }
  at::Tensor context = at::cat(contexts, -1);  // [windows, T, D]
  if (compat == Compat::kSdCpp) context = emphasised(context, first_weights);
  result.context = context.reshape({1, -1, context.size(2)});
  return result;
}

EncodedPrompt PromptEncoder::encode_nothing(Compat compat, int64_t clip_skip) const {
  Observer unseen;
  EncodedPrompt encoded = encode("", compat, clip_skip, unseen);
  if (!zero_empty_negative_) return encoded;
  return {at::zeros_like(encoded.context), at::zeros_like(encoded.pooled)};
}

UnreadWords PromptEncoder::unread(const PromptPlan& plan, Compat compat) const {
  UnreadWords result{0, plan.ignored};
  for (const std::string& text : plan.texts) {
    for (size_t i = 0; i < towers_.size(); ++i) {
      const TokenChunks windows = chunk_text(towers_[i].tokenizer, text, compat, words_of(i));
      result.tokens_cut = std::max(result.tokens_cut, static_cast<int64_t>(windows.cut.size()));
      for (const std::string& line : windows.ignored) {
        const bool known =
            std::find(result.ignored.begin(), result.ignored.end(), line) != result.ignored.end();
        if (!known) result.ignored.push_back(line);
      }
    }
  }
  return result;
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
