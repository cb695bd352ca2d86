#include "brume/text/tokenize_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "brume/text/adapter_tags.h"
#include "brume/text/tagged_choices.h"
#include "brume/text/token_chunks.h"

namespace brume {

namespace {

using Json = nlohmann::ordered_json;

std::vector<int64_t> all_ids(const Tokenizer& tokenizer, const TokenChunks& windows) {
  std::vector<int64_t> ids;
  for (const TokenChunk& chunk : windows.chunks) {
    const std::vector<int64_t> more = window_ids(tokenizer, chunk);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  return ids;
}

/// A tokenizer, and the words that it knows beside its own.
struct ReportTower {
  const Tokenizer& tokenizer;
  EmbeddingWords embeddings;

  TokenChunks windows(const std::string& text, Compat compat) const {
    return chunk_text(tokenizer, text, compat, &embeddings);
  }
};

Json token_json(const ReportTower& tower, int64_t id) {
  const auto vector = tower.embeddings.vector_of(id);
  if (!vector) return {{"token", tower.tokenizer.token(id)}, {"id", id}};
  const std::string& name = tower.embeddings.names()[vector->first].name;
  return {{"token", name + "[" + std::to_string(vector->second) + "]"}, {"id", id}, {"embedding", name}};
}

/// Words and names.
std::string cut_text(const ReportTower& tower, const std::vector<int64_t>& ids) {
  std::string text;
  std::vector<int64_t> words;
  const auto end_words = [&] {
    if (words.empty()) return;
    text += (text.empty() ? "" : " ") + tower.tokenizer.decode(words);
    words.clear();
  };
  for (const int64_t id : ids) {
    const auto vector = tower.embeddings.vector_of(id);
    if (!vector) {
      words.push_back(id);
    } else if (vector->second == 0) {
      end_words();
      text += (text.empty() ? "" : " ") + tower.embeddings.names()[vector->first].name;
    }
  }
  end_words();
  return text;
}

Json tokens_json(const ReportTower& tower, const TokenChunks& windows) {
  Json tokens = Json::array();
  for (size_t chunk = 0; chunk < windows.chunks.size(); ++chunk) {
    const TokenChunk& window = windows.chunks[chunk];
    for (size_t i = 0; i < window.ids.size(); ++i) {
      Json one = token_json(tower, window.ids[i]);
      one["chunk"] = chunk;
      one["weight"] = window.weights[i];
      tokens.push_back(std::move(one));
    }
  }
  for (const int64_t id : windows.cut) {
    Json one = token_json(tower, id);
    one["chunk"] = nullptr;
    tokens.push_back(std::move(one));
  }
  return tokens;
}

/// Reads the texts of a plan, one after the other.
class TextReader {
 public:
  TextReader(const std::vector<Tokenizer>& towers, const ReportSettings& settings, TokenizeReport& report)
      : compat_(settings.compat), report_(report) {
    towers_.reserve(towers.size());
    for (const Tokenizer& tower : towers)
      towers_.push_back({tower, EmbeddingWords(tower, settings.embeddings)});
  }

  void read(const std::string& text, Json& into) {
    const ReportTower& first = towers_.front();
    const TokenChunks windows = first.windows(text, compat_);
    into["chunks"] = windows.chunks.size();
    into["tokens"] = tokens_json(first, windows);
    into["ids"] = all_ids(first.tokenizer, windows);
    if (towers_.size() > 1) into["ids_2"] = all_ids(towers_[1].tokenizer, towers_[1].windows(text, compat_));
    into["cut"] = {{"tokens", windows.cut.size()}, {"text", cut_text(first, windows.cut)}};
    report_.tokens_cut = std::max(report_.tokens_cut, static_cast<int64_t>(windows.cut.size()));
    for (const std::string& line : windows.ignored) {
      const bool known =
          std::find(report_.unread.begin(), report_.unread.end(), line) != report_.unread.end();
      if (!known) report_.unread.push_back(line);
    }
  }

 private:
  std::vector<ReportTower> towers_;
  Compat compat_;
  TokenizeReport& report_;
};

}  // namespace

TokenizeReport tokenize_report(const std::vector<Tokenizer>& towers, std::string_view text,
                               const ReportSettings& settings) {
  const TaggedPrompt tagged = split_adapter_tags(std::string(text));
  ChosenPrompt chosen{tagged.words, {}, {}};
  if (reads_choices(settings.compat))
    chosen = choose_tagged_text(std::string(text), settings.seed, settings.wildcards);
  const PromptPlan plan = plan_prompt(chosen.words, settings.compat, settings.steps, PromptRole::kPrompt);
  TokenizeReport report;
  for (const std::string& name : chosen.unknown)
    report.unread.push_back("__" + name + "__ stands for itself, without wildcards");
  report.unread.insert(report.unread.end(), plan.ignored.begin(), plan.ignored.end());
  TextReader reader(towers, settings, report);

  Json out = {{"text", text}, {"compat", compat_name(settings.compat)}};
  if (chosen.words != tagged.words) out["chosen_text"] = chosen.words;
  if (!tagged.tags.empty()) out["adapters"] = tags_text(tagged.tags);
  out["max_length"] = towers.front().max_length();
  reader.read(plan.texts[plan.parts.front().text_in(0)], out);
  Json texts = Json::array();
  for (size_t part = 0; part < plan.parts.size(); ++part) {
    int64_t first_step = 0;
    for (const PlannedText& time : plan.parts[part].times) {
      const int64_t last_step = std::min(time.last, settings.steps - 1);
      if (first_step > last_step) break;  // A1111 counts one more
      Json one = {{"part", part},
                  {"part_weight", plan.parts[part].weight},
                  {"first_step", first_step},
                  {"last_step", last_step},
                  {"text", plan.texts[time.text]}};
      reader.read(plan.texts[time.text], one);
      texts.push_back(std::move(one));
      first_step = last_step + 1;
    }
  }
  if (texts.size() > 1) out["texts"] = std::move(texts);
  out["ignored"] = report.unread;
  // The first cut token may begin in mid-letter.
  report.json = out.dump(2, ' ', false, Json::error_handler_t::replace);
  return report;
}

}  // namespace brume
