#include "brume/text/tokenize_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace brume {

std::string tokenize_report(const Tokenizer& tokenizer, std::string_view text) {
  using Json = nlohmann::ordered_json;
  const std::vector<int64_t> ids = tokenizer.encode(text);
  const Tokenizer::Padded padded = tokenizer.encode_padded(text);
  const int64_t room = tokenizer.max_length() - 2;
  const auto count = static_cast<int64_t>(ids.size());
  Json tokens = Json::array();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t id = ids[static_cast<size_t>(i)];
    tokens.push_back({{"token", tokenizer.token(id)}, {"id", id}, {"chunk", i / room}});
  }
  const std::vector<int64_t> cut(ids.end() - padded.cut, ids.end());
  const Json report = {{"text", text},
                       {"max_length", tokenizer.max_length()},
                       {"chunks", std::max<int64_t>(1, (count + room - 1) / room)},
                       {"tokens", tokens},
                       {"ids", padded.ids},
                       {"cut", {{"tokens", padded.cut}, {"text", tokenizer.decode(cut)}}}};
  // The first cut token may begin in mid-letter.
  return report.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace brume
