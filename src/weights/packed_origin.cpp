#include "brume/weights/packed_origin.h"

#include <nlohmann/json.hpp>

#include "brume/base/error.h"
#include "brume/base/strict_json.h"

namespace brume {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr int kMostDepth = 8;
constexpr size_t kMostBytes = size_t{1} << 20;

[[noreturn]] void reject(const std::string& where, const std::string& problem) {
  throw Error(ExitCode::kModelInvalid, where, problem, "convert the model again");
}

std::string text_of(const json& object, const char* key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_string())
    reject(where, std::string(key) + " is no text");
  return found->get<std::string>();
}

const json& list_of(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) reject(where, std::string(key) + " is no list");
  return *found;
}

}  // namespace

std::string packed_origin_text(const PackedOrigin& origin) {
  ordered_json sources = ordered_json::array();
  for (const PackedSource& source : origin.sources)
    sources.push_back({{"file", source.file}, {"sha256", source.sha256}});
  ordered_json adapters = ordered_json::array();
  for (const PackedAdapter& adapter : origin.adapters)
    adapters.push_back({{"name", adapter.name}, {"strength", adapter.strength}, {"sha256", adapter.sha256}});
  const ordered_json text = {{"version", kVersion},
                             {"program", origin.program},
                             {"model", origin.model},
                             {"family", origin.family},
                             {"dtype", origin.dtype},
                             {"vae_dtype", origin.vae_dtype},
                             {"prediction", origin.prediction},
                             {"adapters", std::move(adapters)},
                             {"sources", std::move(sources)}};
  return text.dump(-1, ' ', false, json::error_handler_t::replace);  // file names need not be UTF-8
}

PackedOrigin read_packed_origin(std::string_view text, const std::string& where) {
  if (text.size() > kMostBytes)
    reject(where, "has " + std::to_string(text.size()) + " bytes, more than the limit of " +
                      std::to_string(kMostBytes));
  const json root = parse_strict_json(text, kMostDepth, where, ExitCode::kModelInvalid);
  if (!root.is_object()) reject(where, "is not a JSON object");
  const auto version = root.find("version");
  if (version == root.end() || !version->is_number_integer()) reject(where, "version is no whole number");
  if (*version != kVersion)
    throw Error(ExitCode::kModelInvalid, where,
                "version " + version->dump() + " is unknown; this brume reads " + std::to_string(kVersion),
                "use a newer brume");
  PackedOrigin origin{.program = text_of(root, "program", where),
                      .model = text_of(root, "model", where),
                      .family = text_of(root, "family", where),
                      .dtype = text_of(root, "dtype", where),
                      .vae_dtype = text_of(root, "vae_dtype", where),
                      .prediction = text_of(root, "prediction", where),
                      .sources = {},
                      .adapters = {}};
  for (const json& source : list_of(root, "sources", where))
    origin.sources.push_back({text_of(source, "file", where), text_of(source, "sha256", where)});
  for (const json& adapter : list_of(root, "adapters", where))
    origin.adapters.push_back({text_of(adapter, "name", where), text_of(adapter, "strength", where),
                               text_of(adapter, "sha256", where)});
  return origin;
}

std::vector<std::string> packed_origin_lines(const PackedOrigin& origin) {
  const auto cast = [](const std::string& dtype) { return dtype.empty() ? "as stored" : dtype; };
  std::string what =
      origin.family + " packed by " + origin.program + " from " + origin.model + ", " + cast(origin.dtype);
  if (origin.vae_dtype != origin.dtype) what += ", autoencoder " + std::string(cast(origin.vae_dtype));
  if (!origin.prediction.empty()) what += ", predicts " + origin.prediction;
  std::vector<std::string> lines{what};
  for (const PackedAdapter& adapter : origin.adapters)
    lines.push_back("merged " + adapter.name + ":" + adapter.strength + " sha256 " + adapter.sha256);
  for (const PackedSource& source : origin.sources)
    lines.push_back("made of " + source.file + " sha256 " + source.sha256);
  return lines;
}

}  // namespace brume
