#include "brume/image/inspect.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/base/strict_json.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"

namespace brume {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kMaxFile = uint64_t{512} << 20;
constexpr size_t kMaxFields = 64;  // of a recipe of ours: it has 18

const std::string* find_text(const std::vector<PngText>& texts, std::string_view keyword) {
  for (const PngText& text : texts) {
    if (text.keyword == keyword) return &text.text;
  }
  return nullptr;
}

/// The chunk "brume" as fields in our order, or nothing if it is not a flat object as recipe_json writes it.
std::optional<ordered_json> own_recipe(const std::string& text, const std::string& where) {
  json values;
  try {
    values = parse_strict_json(text, 2, where, ExitCode::kInputInvalid);
  } catch (const Error&) {
    return std::nullopt;  // the infotext may still tell
  }
  if (!values.is_object() || values.size() > kMaxFields) return std::nullopt;
  for (const json& value : values) {
    if (value.is_object()) return std::nullopt;
  }
  ordered_json recipe;
  Recipe every_field;
  every_field.key = every_field.engine.model_hash = "?";
  const ordered_json order = ordered_json::parse(recipe_json(every_field));
  for (const auto& [key, unused] : order.items()) {
    if (values.contains(key)) recipe[key] = values[key];
  }
  for (const auto& [key, value] : values.items()) {
    if (!recipe.contains(key)) recipe[key] = value;
  }
  return recipe;
}

std::optional<ordered_json> infotext_recipe(const std::string& text) {
  const auto fields = parse_infotext(text);
  ordered_json recipe = ordered_json::object();
  for (const auto& [key, value] : fields) {
    if (!recipe.contains(key)) recipe[key] = value;
  }
  return recipe;
}

std::string shown(const ordered_json& value) {
  return escape_control(value.is_string()
                            ? value.get<std::string>()
                            : value.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

std::string text_report(const ordered_json& report) {
  std::string out = escape_control(report["file"].get<std::string>()) + ": " + shown(report["width"]) +
                    " x " + shown(report["height"]) + " pixels\n";
  if (report["recipe"].is_null()) {
    out += "no recipe in this picture\n";
    if (!report["text_chunks"].empty()) out += "text chunks: " + shown(report["text_chunks"]) + "\n";
    return out;
  }
  for (const auto& [key, value] : report["recipe"].items()) {
    out += escape_control(key) + ": " + shown(value) + "\n";
  }
  return out;
}

}  // namespace

std::string picture_report(const std::filesystem::path& path, ReportFormat format) {
  const std::string where = path.string();
  const std::string file = read_text_file(path, kMaxFile, ExitCode::kInputInvalid);
  const auto bytes = std::as_bytes(std::span(file));
  const PngSize size = read_png_size(bytes, where);
  const std::vector<PngText> texts = read_png_texts(bytes, where);

  ordered_json report;
  report["file"] = where;
  report["width"] = size.width;
  report["height"] = size.height;
  report["recipe_source"] = nullptr;
  report["recipe"] = nullptr;
  report["text_chunks"] = ordered_json::array();
  for (const PngText& text : texts) report["text_chunks"].push_back(text.keyword);

  std::optional<ordered_json> recipe;
  const std::string* own = find_text(texts, "brume");
  const std::string* parameters = find_text(texts, "parameters");
  if (own != nullptr) recipe = own_recipe(*own, where);
  const bool ours = recipe.has_value();
  if (!ours && parameters != nullptr) recipe = infotext_recipe(*parameters);
  if (recipe) {
    report["recipe_source"] = ours ? "brume" : "infotext";
    report["recipe"] = *recipe;
  }
  if (format == ReportFormat::kText) return text_report(report);
  return report.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace brume
