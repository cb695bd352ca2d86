#include "brume/text/embedding_words.h"

#include <algorithm>
#include <utility>

namespace brume {

namespace {

constexpr std::string_view kMark = "embedding:";  // ComfyUI's

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Whether a word does not end here.
bool goes_on(std::string_view rest) {
  if (rest.empty()) return false;
  const char c = rest.front();
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

EmbeddingWords::EmbeddingWords(const Tokenizer& tokenizer, std::vector<EmbeddingName> names)
    : names_(std::move(names)) {
  int64_t next = tokenizer.size();
  first_ids_.reserve(names_.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    first_ids_.push_back(next);
    next += names_[i].vectors;
    for (const std::string& written : {names_[i].name, std::string(kMark) + names_[i].name}) {
      std::vector<int64_t> ids = tokenizer.encode(written);
      if (!ids.empty()) spellings_.push_back({std::move(ids), i});
    }
  }
  std::stable_sort(spellings_.begin(), spellings_.end(),
                   [](const Spelling& a, const Spelling& b) { return a.ids.size() > b.ids.size(); });
}

std::optional<EmbeddingWords::Found> EmbeddingWords::find(const std::vector<int64_t>& ids,
                                                          size_t place) const {
  const auto from = ids.begin() + static_cast<ptrdiff_t>(place);
  for (const Spelling& spelling : spellings_) {
    if (spelling.ids.size() <= ids.size() - place &&
        std::equal(spelling.ids.begin(), spelling.ids.end(), from))
      return Found{spelling.name, spelling.ids.size()};
  }
  return std::nullopt;
}

std::vector<int64_t> EmbeddingWords::ids_of(size_t name) const {
  std::vector<int64_t> ids(static_cast<size_t>(names_[name].vectors));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = first_ids_[name] + static_cast<int64_t>(i);
  return ids;
}

std::optional<std::pair<size_t, int64_t>> EmbeddingWords::vector_of(int64_t id) const {
  const auto behind = std::upper_bound(first_ids_.begin(), first_ids_.end(), id);
  if (behind == first_ids_.begin()) return std::nullopt;
  const auto name = static_cast<size_t>(behind - first_ids_.begin()) - 1;
  return std::pair(name, id - first_ids_[name]);
}

std::vector<std::string> EmbeddingWords::unknown_in(std::string_view text) const {
  std::vector<std::string> unknown;
  const std::string folded = lower(text);
  for (size_t at = folded.find(kMark); at != std::string::npos; at = folded.find(kMark, at + 1)) {
    const std::string_view rest = std::string_view(folded).substr(at + kMark.size());
    const bool known = std::any_of(names_.begin(), names_.end(), [&](const EmbeddingName& one) {
      return rest.starts_with(lower(one.name)) && !goes_on(rest.substr(one.name.size()));
    });
    if (!known) unknown.emplace_back(rest.substr(0, rest.find_first_of(" \t\n,")));
  }
  return unknown;
}

}  // namespace brume
