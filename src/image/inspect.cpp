#include "brume/image/inspect.h"

#include <nlohmann/json.hpp>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/image/png.h"
#include "brume/image/recipe_fields.h"

namespace brume {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kMaxFile = uint64_t{512} << 20;

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

  const RecipeFields found = recipe_fields(texts);
  if (found.source != RecipeSource::kNone) {
    report["recipe_source"] = found.source == RecipeSource::kBrume ? "brume" : "infotext";
    report["recipe"] = found.fields;
  }
  if (format == ReportFormat::kText) return text_report(report);
  return report.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace brume
