#include "brume/image/recipe.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "brume/base/shortest_number.h"
#include "brume/base/strict_json.h"

namespace brume {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kNegative = "Negative prompt:";
constexpr size_t kMaxFields = 1000;
constexpr size_t kMaxKey = 64;
constexpr size_t kShownHash = 10;  // digits, as in A1111
constexpr size_t kShownLoraHash = 12;

/// A component that may be another than the model's own, and what the infotext calls it.
struct ComponentTitle {
  const char* name;
  const char* title;
};
constexpr std::array<ComponentTitle, 4> kComponents{{{"vae", "VAE"},
                                                     {"unet", "UNet"},
                                                     {"text_encoder", "Text encoder"},
                                                     {"text_encoder_2", "Text encoder 2"}}};

std::string json_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// `text` fit for a PNG text chunk: broken UTF-8 and zero bytes as U+FFFD.
std::string clean(const std::string& text) {
  std::string cleaned;
  for (char c : json::parse(json_text(text)).get<std::string>()) {
    if (c == '\0') {
      cleaned += "\xef\xbf\xbd";
    } else {
      cleaned += c;
    }
  }
  return cleaned;
}

/// A value of the parameter line, quoted where A1111 quotes it. A1111 leaves a bare leading quote alone,
/// which would not read back, so that is quoted too.
std::string quote(const std::string& value) {
  const bool bare = value.find_first_of(",\n:") == std::string::npos && !value.starts_with('"');
  return bare ? value : json_text(value);
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string all;
  for (const std::string& part : parts) {
    if (!all.empty()) all += separator;
    all += part;
  }
  return all;
}

/// "name: hash, other: hash", A1111's way, where names lose what would break the list.
template <class Value>
std::string adapter_list(const std::vector<RecipeAdapter>& adapters, const Value& value) {
  std::vector<std::string> parts;
  parts.reserve(adapters.size());
  for (const RecipeAdapter& adapter : adapters) {
    std::string name = adapter.name;
    std::erase_if(name, [](char c) { return c == ':' || c == ','; });
    parts.push_back(name + ": " + value(adapter));
  }
  return joined(parts, ", ");
}

std::string parameter_line(const Recipe& recipe) {
  std::vector<std::string> parts;
  auto add = [&](const std::string& key, const std::string& value) {
    if (!value.empty()) parts.push_back(key + ": " + quote(clean(value)));
  };
  add("Steps", std::to_string(recipe.sampling.steps));
  const RecipeSampling& sampling = recipe.sampling;
  add("Sampler", sampling.sampler_title.empty() ? sampling.sampler : sampling.sampler_title);
  add("Schedule type", sampling.scheduler_title);
  add("CFG scale", shortest_number(recipe.sampling.cfg_scale));
  add("Seed", std::to_string(recipe.seed));
  add("Size", std::to_string(recipe.width) + "x" + std::to_string(recipe.height));
  add("Model hash", recipe.engine.model_hash.substr(0, kShownHash));
  add("Model", recipe.engine.model);
  for (const ComponentTitle& one : kComponents) {
    if (const auto found = recipe.engine.components.find(one.name); found != recipe.engine.components.end())
      add(one.title, found->second);
  }
  add("Prediction", recipe.engine.prediction);
  if (recipe.sampling.clip_skip > 1) add("Clip skip", std::to_string(recipe.sampling.clip_skip));
  if (recipe.edit) {
    if (recipe.edit->strength) add("Denoising strength", shortest_number(*recipe.edit->strength));
    add("Init image", recipe.edit->picture.name);
    add("Init image hash", recipe.edit->picture.hash.substr(0, kShownHash));
    if (const std::optional<RecipePicture>& mask = recipe.edit->mask) {
      add("Mask image", mask->name);
      add("Mask image hash", mask->hash.substr(0, kShownHash));
    }
  }
  if (sampling.eta != sampling.usual_eta) add("Eta", shortest_number(recipe.sampling.eta));
  if (recipe.sampling.cfg_rescale != 0) add("CFG Rescale", shortest_number(recipe.sampling.cfg_rescale));
  for (const RecipeOption& option : sampling.options) {
    const auto* text = std::get_if<std::string>(&option.value);
    const std::string value = text != nullptr ? *text : shortest_number(std::get<double>(option.value));
    add(option.title, option.titled.empty() ? value : option.titled);
  }
  if (recipe.compat != "a1111") add("Compat", recipe.compat);
  if (recipe.chosen) {
    add("Template", recipe.prompt);
    add("Negative Template", recipe.negative_prompt.value_or(""));
  }
  const std::vector<RecipeAdapter>& adapters = recipe.engine.adapters;
  add("Lora hashes", adapter_list(adapters, [](const RecipeAdapter& one) {
        return one.data_hash.substr(0, kShownLoraHash);
      }));
  add("Lora weights", adapter_list(adapters, [](const RecipeAdapter& one) { return one.strength; }));
  add("Notes", joined(recipe.notes, "; "));
  add("Version", recipe.engine.version);
  return joined(parts, ", ");
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Length of the key at the start of a parameter ("CFG scale" of "CFG scale: 7"), 0 if there is none.
size_t key_length(std::string_view part) {
  const size_t colon = part.substr(0, kMaxKey + 1).find(':');
  if (colon == std::string_view::npos || colon == 0) return 0;
  const std::string_view key = part.substr(0, colon);
  return key.find_first_of(",\"{}[]()<>") == std::string_view::npos ? colon : 0;
}

/// Length of the JSON string at the start of `text`, both quotes included, 0 if it does not end.
size_t quoted_length(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return 0;
}

std::string unquoted(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return std::string(value);
  const json parsed = json::parse(value.begin(), value.end(), nullptr, false);
  return parsed.is_string() ? parsed.get<std::string>() : std::string(value);
}

/// "Steps: 20, Size: 1x1, ..." as fields. A part without a key belongs to the value before it, as in
/// stable-diffusion.cpp's "Skip layers: [7, 8, 9]".
Fields read_parameters(std::string_view line) {
  Fields fields;
  while (!line.empty()) {
    const std::string_view part = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    const size_t key = fields.size() < kMaxFields ? key_length(part) : 0;
    std::string_view rest = key == 0 ? part : part.substr(key + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    size_t length = key != 0 && rest.starts_with('"') ? quoted_length(rest) : 0;
    if (length != 0 && !trimmed(rest.substr(length, rest.find(',', length) - length)).empty()) length = 0;
    const size_t comma = fields.size() < kMaxFields ? rest.find(',', length) : std::string_view::npos;
    const std::string_view value = trimmed(rest.substr(0, comma));
    if (key != 0) {
      fields.emplace_back(trimmed(part.substr(0, key)), unquoted(value));
    } else if (!fields.empty()) {
      fields.back().second += ", " + std::string(value);
    } else if (!value.empty()) {
      return {};
    }
    line = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return fields;
}

}  // namespace

std::string infotext(const Recipe& recipe) {
  const std::optional<std::string>& negative =
      recipe.chosen ? recipe.chosen->negative_prompt : recipe.negative_prompt;
  std::string text = clean(recipe.chosen ? recipe.chosen->prompt : recipe.prompt);
  auto add_line = [&](const std::string& line) { text += (text.empty() ? "" : "\n") + line; };
  if (negative && !negative->empty()) add_line(std::string(kNegative) + " " + clean(*negative));
  add_line(parameter_line(recipe));
  return text;
}

std::string recipe_json(const Recipe& recipe) {
  ordered_json out;
  out["prompt"] = recipe.prompt;
  out["negative_prompt"] =
      recipe.negative_prompt ? ordered_json(*recipe.negative_prompt) : ordered_json(nullptr);
  if (recipe.chosen) out["chosen_prompt"] = recipe.chosen->prompt;
  if (recipe.chosen && recipe.chosen->negative_prompt)
    out["chosen_negative_prompt"] = *recipe.chosen->negative_prompt;
  if (!recipe.compat.empty()) out["compat"] = recipe.compat;
  out["width"] = recipe.width;
  out["height"] = recipe.height;
  out["steps"] = recipe.sampling.steps;
  out["cfg_scale"] = recipe.sampling.cfg_scale;
  out["cfg_rescale"] = recipe.sampling.cfg_rescale;
  out["sampler"] = recipe.sampling.sampler;
  if (!recipe.sampling.scheduler.empty()) out["scheduler"] = recipe.sampling.scheduler;
  out["eta"] = recipe.sampling.eta;
  out["seed"] = recipe.seed;
  out["clip_skip"] = recipe.sampling.clip_skip;
  for (const RecipeOption& option : recipe.sampling.options)
    std::visit([&](const auto& value) { out[option.name] = value; }, option.value);
  if (recipe.edit) {
    out["init_img"] = recipe.edit->picture.name;
    out["init_img_hash"] = recipe.edit->picture.hash;
    if (recipe.edit->strength) out["strength"] = *recipe.edit->strength;
    if (recipe.edit->mask) {
      out["mask"] = recipe.edit->mask->name;
      out["mask_hash"] = recipe.edit->mask->hash;
    }
  }
  out["model"] = recipe.engine.model;
  if (!recipe.engine.model_hash.empty()) out["model_hash"] = recipe.engine.model_hash;
  for (const ComponentTitle& one : kComponents) {
    if (const auto found = recipe.engine.components.find(one.name); found != recipe.engine.components.end())
      out[one.name] = found->second;
  }
  if (!recipe.engine.prediction.empty()) out["prediction"] = recipe.engine.prediction;
  for (const RecipeAdapter& adapter : recipe.engine.adapters) {
    out["loras"].push_back(adapter.name + ":" + adapter.strength);
    out["lora_hashes"].push_back(adapter.hash);
  }
  out["dtype"] = recipe.engine.dtype;
  out["device"] = recipe.engine.device;
  out["version"] = recipe.engine.version;
  out["notes"] = recipe.notes;
  if (!recipe.key.empty()) out["key"] = recipe.key;
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::vector<PngText> recipe_texts(const Recipe& recipe) {
  return {{"parameters", infotext(recipe)}, {"brume", recipe_json(recipe)}};
}

std::string recipe_key(const std::vector<PngText>& texts) {
  for (const PngText& text : texts) {
    if (text.keyword != "brume") continue;
    try {
      const json values = parse_strict_json(text.text, 2, "brume", ExitCode::kInputInvalid);
      if (values.is_object() && values.contains("key") && values["key"].is_string()) return values["key"];
    } catch (const Error&) {
      continue;  // not one of ours
    }
  }
  return {};
}

Fields parse_infotext(const std::string& text) {
  std::string_view body = text;
  while (body.ends_with('\n') || body.ends_with('\r')) body.remove_suffix(1);
  const size_t last = body.rfind('\n');
  const std::string_view line = last == std::string_view::npos ? body : body.substr(last + 1);
  Fields parameters = read_parameters(line);
  // A1111's rule, three fields make a parameter line, except that a lone line of prose may hold colons too.
  const bool named = !parameters.empty() && parameters.front().first == "Steps";
  if (parameters.size() < 3 || (last == std::string_view::npos && !named)) {
    parameters.clear();
  } else {
    body = last == std::string_view::npos ? std::string_view() : body.substr(0, last);
  }
  size_t negative = body.starts_with(kNegative) ? 0 : body.find("\n" + std::string(kNegative));
  Fields fields;
  fields.emplace_back("Prompt", body.substr(0, negative));
  if (negative != std::string_view::npos) {
    negative += (body[negative] == '\n' ? 1 : 0) + kNegative.size();
    if (negative < body.size() && body[negative] == ' ') ++negative;
    fields.emplace_back("Negative prompt", body.substr(negative));
  }
  fields.insert(fields.end(), parameters.begin(), parameters.end());
  return fields;
}

}  // namespace brume
