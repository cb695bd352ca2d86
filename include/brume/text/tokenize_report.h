#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "brume/text/embedding_words.h"
#include "brume/text/prompt_choices.h"
#include "brume/text/prompt_plan.h"
#include "brume/text/tokenizer.h"

namespace brume {

/// How a prompt is read for tokenize_report.
struct ReportSettings {
  Compat compat = Compat::kA1111;
  int64_t steps = 20;  // of the walk that [a:b:0.5] is a part of
  uint64_t seed = 42;  // that makes the choices
  Wildcards wildcards = {};
  std::vector<EmbeddingName> embeddings = {};
};

struct TokenizeReport {
  std::string json;                 // one object
  int64_t tokens_cut = 0;           // the most of any text
  std::vector<std::string> unread;  // what does not say what it seems to, a line each
};

/// How the towers of a model read `text`: "text", "compat", where choices were made "chosen_text",
/// "adapters" for the tags that are no words, "max_length", "ignored" (a line each), and of the text of the
/// first step
///   "chunks", the windows that it takes; "tokens", each with its token, id, chunk (null: cut) and weight;
///   of an embedding's vectors the name and which of them ("name[0]"), with "embedding", the name;
///   "ids" as the text encoder gets them, window after window ("ids_2": the second tower's); "cut", the
///   tokens and the words that no window has room for.
/// Where there are several texts, "texts" has an object of each with these, its "part" of AND, that part's
/// "part_weight", and "first_step" and "last_step", from 0, in which it is read. Throws as plan_prompt,
/// choose_text and split_adapter_tags do.
TokenizeReport tokenize_report(const std::vector<Tokenizer>& towers, std::string_view text,
                               const ReportSettings& settings);

}  // namespace brume
