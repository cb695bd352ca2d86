#include "brume/pipeline/embeddings.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/text/clip_text_config.h"
#include "brume/text/prompt_plan.h"
#include "brume/text/token_chunks.h"
#include "brume/weights/embedding_file.h"
#include "brume/weights/weights.h"

namespace brume {

namespace {

int64_t width_of(const ModelSource& model, const std::string& encoder) {
  std::vector<std::string> ignored;
  return ClipTextConfig::read(model.config(encoder), ignored).width;
}

at::Tensor read_vectors(const EmbeddingFile& file, const EmbeddingPart& part) {
  const std::string where = file.file()->path().string();
  const Weights weights = Weights::part_of(file.file(), {{part.key, part.place}}, where);
  at::Tensor vectors =
      weights.view(at::kFloat)
          .tensor(part.key, {static_cast<int64_t>(part.vectors()), static_cast<int64_t>(part.width())});
  if (!vectors.isfinite().all().item<bool>())
    throw Error(ExitCode::kModelInvalid, where, part.key + " has numbers that are not finite",
                "fetch the file again");
  return vectors;
}

/// The refiner's only text encoder is SDXL's second one.
std::vector<EmbeddingPart> parts_for(ModelFamily family, const EmbeddingFile& file) {
  std::vector<EmbeddingPart> parts = file.parts();
  if (family == ModelFamily::kStableDiffusionXlRefiner && parts.size() > 1) parts.erase(parts.begin());
  return parts;
}

}  // namespace

Embeddings::Embeddings(const ModelSource& model, const std::vector<EmbeddingChoice>& asked,
                       const std::vector<EmbeddingChoice>& found)
    : family_(model.family()) {
  for (const std::string& suffix : tower_suffixes(model.family()))
    towers_.push_back(
        {model.tokenizer("tokenizer" + suffix), width_of(model, "text_encoder" + suffix), {}, {}, {}});
  const auto is_there = [&](const std::string& name) {
    return std::any_of(names_.begin(), names_.end(),
                       [&](const EmbeddingName& one) { return one.name == name; });
  };
  for (const EmbeddingChoice& choice : asked) {
    if (is_there(choice.name))
      throw Error(ExitCode::kUsage, "--embedding " + choice_text(choice), "there is another one of this name",
                  "give it another name: FILE:NAME");
    take(choice);
  }
  for (const EmbeddingChoice& choice : found) {
    if (is_there(choice.name)) continue;
    try {
      take(choice);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kModelInvalid) throw;
      remarks_.push_back(std::string("left out: ") + error.what());
    }
  }
  for (Tower& tower : towers_) {
    tower.words = EmbeddingWords(tower.tokenizer, names_);
    if (!tower.read.empty()) tower.vectors = at::cat(tower.read);
    tower.read.clear();
  }
}

void Embeddings::take(const EmbeddingChoice& choice) {
  check_name(choice);
  const EmbeddingFile file(choice.file);
  const std::string where = choice.file.string();
  const std::vector<EmbeddingPart> parts = parts_for(family_, file);
  const int64_t room = towers_.front().tokenizer.max_length() - 2;
  if (file.vectors() > room)
    throw Error(ExitCode::kModelInvalid, where,
                parts.front().key + " has " + std::to_string(file.vectors()) +
                    " vectors, and a window of this model " + std::to_string(room) + " tokens",
                "use another embedding");
  if (parts.size() != towers_.size())
    throw Error(ExitCode::kModelInvalid, where,
                parts.front().key + " is for a model of " + (parts.size() == 1 ? "one text encoder" : "two") +
                    ", of width " + std::to_string(parts.front().width()) + "; this model has " +
                    (towers_.size() == 1 ? "one" : "two") + ", of width " +
                    std::to_string(towers_.front().width),
                "use an embedding that was made for it");
  for (size_t i = 0; i < parts.size(); ++i) {
    if (static_cast<int64_t>(parts[i].width()) == towers_[i].width) continue;
    throw Error(ExitCode::kModelInvalid, where,
                parts[i].key + " is " + std::to_string(parts[i].width()) +
                    " wide, and this model's text encoder " + std::to_string(towers_[i].width),
                "use an embedding that was made for this kind of model");
  }
  std::vector<at::Tensor> vectors;
  vectors.reserve(parts.size());
  for (const EmbeddingPart& part : parts) vectors.push_back(read_vectors(file, part));
  hashes_.push_back(hex_digits(sha256_of_file(choice.file, ExitCode::kModelInvalid)));
  names_.push_back({choice.name, file.vectors()});
  for (size_t i = 0; i < towers_.size(); ++i) towers_[i].read.push_back(vectors[i]);
}

std::vector<UsedEmbedding> Embeddings::used_by(const Request& request) const {
  std::vector<bool> used(names_.size());
  const Tower& tower = towers_.front();
  const auto look_at = [&](const std::string& text, PromptRole role) {
    const PromptPlan plan = plan_prompt(text, request.reading.compat, request.sampling.steps, role);
    for (const std::string& one : plan.texts) {
      for (const TokenChunk& chunk :
           chunk_text(tower.tokenizer, one, request.reading.compat, &tower.words).chunks) {
        for (const int64_t id : chunk.ids) {
          if (const auto vector = tower.words.vector_of(id)) used[vector->first] = true;
        }
      }
    }
  };
  look_at(request.prompt, PromptRole::kPrompt);
  if (request.negative_prompt && request.guidance.active())
    look_at(*request.negative_prompt, PromptRole::kNegative);
  std::vector<UsedEmbedding> named;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (used[i]) named.push_back({names_[i].name, hashes_[i]});
  }
  return named;
}

}  // namespace brume
