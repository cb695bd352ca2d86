#include "brume/batch/job_key.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "brume/base/digest.h"
#include "brume/base/escape.h"

namespace brume::batch {

namespace {

using nlohmann::ordered_json;

// Of the notes, these say what was asked for; the others what happened on the way.
constexpr std::array<std::string_view, 2> kAskedFor = {"vae_tiling", "init_latents"};

/// JSON has no place for bytes that are not UTF-8; two prompts that differ only there are still two.
ordered_json exact_text(const std::string& text) {
  if (is_utf8(text)) return text;
  const auto* first = reinterpret_cast<const uint8_t*>(text.data());
  return {{"bytes", hex_digits({first, text.size()})}};
}

/// "cuda" of "cuda:0": which of several equal devices drew it does not matter.
std::string device_kind(const std::string& device) { return device.substr(0, device.find_first_of(": (")); }

double without_sign_of_zero(double value) { return value == 0 ? 0 : value; }

std::optional<uint8_t> digit_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

std::string JobKey::hex() const { return hex_digits(bytes); }

std::optional<JobKey> JobKey::from_hex(std::string_view text) {
  JobKey key;
  if (text.size() != 2 * key.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < key.bytes.size(); ++i) {
    const std::optional<uint8_t> high = digit_value(text[2 * i]);
    const std::optional<uint8_t> low = digit_value(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    key.bytes[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return key;
}

uint64_t JobKey::prefix() const {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof number; ++i) number = number << 8 | bytes[i];
  return number;
}

std::string canonical_job(const Recipe& recipe, const std::string& model_digest) {
  ordered_json job;
  job["picture_version"] = kPictureVersion;
  job["model_digest"] = model_digest;
  job["prompt"] = exact_text(recipe.prompt);
  job["negative_prompt"] =
      recipe.negative_prompt ? exact_text(*recipe.negative_prompt) : ordered_json(nullptr);
  if (recipe.chosen) {
    job["chosen_prompt"] = exact_text(recipe.chosen->prompt);
    if (recipe.chosen->negative_prompt)
      job["chosen_negative_prompt"] = exact_text(*recipe.chosen->negative_prompt);
  }
  job["compat"] = recipe.compat;
  job["width"] = recipe.width;
  job["height"] = recipe.height;
  job["seed"] = recipe.seed;
  job["sampler"] = recipe.sampling.sampler;
  if (!recipe.sampling.scheduler.empty()) job["scheduler"] = recipe.sampling.scheduler;
  job["steps"] = recipe.sampling.steps;
  job["eta"] = without_sign_of_zero(recipe.sampling.eta);
  job["cfg_scale"] = without_sign_of_zero(recipe.sampling.cfg_scale);
  job["cfg_rescale"] = without_sign_of_zero(recipe.sampling.cfg_rescale);
  job["clip_skip"] = recipe.sampling.clip_skip;
  for (const RecipeOption& option : recipe.sampling.options)
    std::visit([&](const auto& value) { job[option.name] = value; }, option.value);
  if (recipe.edit) {
    job["init_img"] = recipe.edit->picture.hash;
    if (recipe.edit->strength) job["strength"] = *recipe.edit->strength;
    if (recipe.edit->mask) job["mask"] = recipe.edit->mask->hash;
  }
  // Other components are parts of the digest.
  if (!recipe.engine.prediction.empty()) job["prediction"] = recipe.engine.prediction;
  for (const RecipeAdapter& adapter : recipe.engine.adapters)
    job["adapters"].push_back({adapter.hash, adapter.strength});
  job["dtype"] = recipe.engine.dtype;
  job["device"] = device_kind(recipe.engine.device);
  job["asked_for"] = ordered_json::array();
  for (const std::string_view note : kAskedFor) {
    if (std::find(recipe.notes.begin(), recipe.notes.end(), note) != recipe.notes.end())
      job["asked_for"].push_back(note);
  }
  return job.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

JobKey job_key(const Recipe& recipe, const std::string& model_digest) {
  const std::string text = canonical_job(recipe, model_digest);
  const Sha256 digest = sha256(std::as_bytes(std::span(text)));
  JobKey key;
  std::copy_n(digest.begin(), key.bytes.size(), key.bytes.begin());
  return key;
}

}  // namespace brume::batch
