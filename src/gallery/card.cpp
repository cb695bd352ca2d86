#include "brume/gallery/card.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "brume/gallery/markup.h"
#include "brume/image/recipe_fields.h"

namespace brume::gallery {

namespace {

using nlohmann::ordered_json;

// What a page takes of a picture's texts: they may be megabytes.
constexpr size_t kMostPrompt = 4000;
constexpr size_t kMostAlternative = 200;
constexpr size_t kMostName = 60;
constexpr size_t kMostValue = 300;
constexpr size_t kMostFields = 40;

/// "CFG scale" and "cfg_scale" are the same: "cfg scale".
std::string field_name(std::string_view key) {
  std::string name = shortened(key, kMostName);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_' || c == '\n' || c == '\t') c = ' ';
  }
  return name;
}

std::string text_of(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null() || (value.is_array() && value.empty())) return {};
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// Names and values stand on a line each, with a tab between them.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return text;
}

std::string shown_value(const std::string& name, const std::string& text) {
  constexpr size_t kShownHash = 10;  // digits, as in A1111
  return name == "model hash" ? text.substr(0, kShownHash) : shortened(text, kMostValue);
}

bool is_told_elsewhere(std::string_view name) {
  constexpr std::array<std::string_view, 4> kElsewhere = {"width", "height", "size", "key"};
  return std::find(kElsewhere.begin(), kElsewhere.end(), name) != kElsewhere.end();
}

/// Seed and steps first; the others keep their order.
size_t rank_of(const std::string& name) {
  constexpr std::array<std::string_view, 6> kFirst = {"seed",    "steps", "cfg scale",
                                                      "sampler", "size",  "model"};
  return static_cast<size_t>(std::find(kFirst.begin(), kFirst.end(), name) - kFirst.begin());
}

}  // namespace

Caption caption_of(const std::vector<PngText>& texts, PngSize size, std::optional<int64_t> index) {
  Caption caption;
  const RecipeFields recipe = recipe_fields(texts);
  caption.fields.emplace_back("size", std::to_string(size.width) + "x" + std::to_string(size.height));
  for (const auto& [key, value] : recipe.fields.items()) {
    const std::string name = field_name(key);
    const std::string text = text_of(value);
    if (text.empty() || is_told_elsewhere(name) || caption.fields.size() >= kMostFields) continue;
    if (name == "prompt") {
      caption.prompt = shortened(text, kMostPrompt);
    } else if (name == "negative prompt") {
      caption.negative_prompt = shortened(text, kMostPrompt);
    } else {
      caption.fields.emplace_back(name, one_line(shown_value(name, text)));
    }
  }
  if (index) caption.fields.emplace_back("index", std::to_string(*index));
  std::stable_sort(caption.fields.begin(), caption.fields.end(),
                   [](const auto& a, const auto& b) { return rank_of(a.first) < rank_of(b.first); });
  return caption;
}

/// The fields are one text with tab stops: a page of ten thousand pictures has a tenth of the elements that
/// lists of terms would need.
std::string card_html(size_t number, const std::filesystem::path& link, const Caption& caption,
                      const Thumbnail& thumbnail) {
  const std::string id = "r" + std::to_string(number);
  const std::string file = html_text(one_line(link.filename().string()));
  const std::string prompt = html_text(caption.prompt);
  const std::string name =
      caption.prompt.empty() ? file : html_text(one_line(shortened(caption.prompt, kMostAlternative)));
  std::string html = "<li><a href=\"" + relative_link(link) + "\" aria-describedby=" + id + "><img alt=\"" +
                     name + "\" width=" + std::to_string(thumbnail.size.width) +
                     " height=" + std::to_string(thumbnail.size.height) +
                     " loading=lazy decoding=async src=\"data:image/jpeg;base64,";
  html += base64(thumbnail.jpeg);
  html += "\"></a><p class=c tabindex=-1 dir=auto>" + name + "</p><div class=r id=" + id + "><h2 dir=auto>" +
          file + "</h2>";
  if (!prompt.empty()) html += "<p class=p dir=auto>" + prompt + "</p>";
  if (!caption.negative_prompt.empty())
    html += "<p class=n dir=auto>" + html_text(caption.negative_prompt) + "</p>";
  html += "<pre>";
  for (const auto& [key, value] : caption.fields) html += html_text(key) + "\t" + html_text(value) + "\n";
  return html + "</pre></div></li>\n";
}

}  // namespace brume::gallery
