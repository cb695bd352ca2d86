#include "brume/text/tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/strict_json.h"

namespace brume {

namespace {

using nlohmann::json;

constexpr size_t kMaxVocabulary = 1'000'000;
constexpr size_t kMaxAdded = 10'000;
constexpr int64_t kDefaultLength = 77;
constexpr const char* kRemedy = "fetch or write the tokenizer again";
/// In the order in which transformers adds them.
constexpr const char* kSpecials[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};

[[noreturn]] void fail(const std::string& where, const std::string& problem) {
  throw Error(ExitCode::kModelInvalid, where, problem, kRemedy);
}

/// A JSON object and the file it is from.
struct Document {
  std::string name;
  json root;

  const json* find(const std::string& key) const {
    const auto found = root.find(key);
    return found == root.end() ? nullptr : &*found;
  }
};

std::string name_of(const TokenizerTexts& texts, const char* file) {
  return (std::filesystem::path(texts.where) / file).string();
}

/// An absent file reads as an empty object.
Document read_object(const TokenizerTexts& texts, const char* file) {
  Document document{name_of(texts, file), json::object()};
  const auto found = texts.files.find(file);
  if (found == texts.files.end()) return document;
  document.root = parse_strict_json(found->second, 16, document.name, ExitCode::kModelInvalid);
  if (!document.root.is_object()) fail(document.name, "not a JSON object");
  return document;
}

bool flag(const json& token, const char* key, bool fallback, const std::string& where) {
  const auto found = token.find(key);
  if (found == token.end()) return fallback;
  if (!found->is_boolean()) fail(where, std::string(key) + ": not a boolean");
  return found->get<bool>();
}

/// A token given as text, or as an object with "content" and flags. `special`, unless the object says
/// otherwise, makes it one that is matched before normalisation.
AddedToken read_token(const json& value, bool special, const std::string& where) {
  AddedToken token;
  if (value.is_string()) {
    token.text = value.get<std::string>();
  } else {
    const auto content = value.is_object() ? value.find("content") : value.end();
    if (!value.is_object() || content == value.end() || !content->is_string()) {
      fail(where, "neither a text nor an object with a \"content\"");
    }
    if (flag(value, "single_word", false, where)) fail(where, "single_word is not supported");
    token.text = content->get<std::string>();
    token.strip_left = flag(value, "lstrip", false, where);
    token.strip_right = flag(value, "rstrip", false, where);
    token.normalized = flag(value, "normalized", !flag(value, "special", special, where), where);
  }
  if (token.text.empty()) fail(where, "an empty token");
  return token;
}

void read_vocabulary(const json& root, const std::string& where, TokenizerFiles& files) {
  if (!root.is_object() || root.empty()) fail(where, "not an object of tokens and ids");
  if (root.size() > kMaxVocabulary) {
    fail(where, std::to_string(root.size()) + " tokens; at most " + std::to_string(kMaxVocabulary));
  }
  std::vector<bool> taken(root.size());
  for (const auto& [text, value] : root.items()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= root.size()) {
      fail(where, "\"" + text + "\": " + value.dump() + " is not an id from 0 to " +
                      std::to_string(root.size() - 1));
    }
    const auto id = value.get<size_t>();
    if (taken[id]) fail(where, "\"" + text + "\": id " + std::to_string(id) + " is taken");
    taken[id] = true;
    files.vocabulary[text] = static_cast<int64_t>(id);
  }
}

void add_merge(const std::string& left, const std::string& right, const std::string& where,
               TokenizerFiles& files) {
  const auto id_of = [&](const std::string& text) {
    const auto found = files.vocabulary.find(text);
    if (found == files.vocabulary.end()) fail(where, "\"" + text + "\" is not in the vocabulary");
    return found->second;
  };
  const int64_t left_id = id_of(left);
  const int64_t right_id = id_of(right);
  files.model.add_merge(left_id, right_id, id_of(left + right));
}

/// "left right", as a line of merges.txt or an old tokenizer.json has it.
void add_merge_line(std::string_view line, const std::string& where, TokenizerFiles& files) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    fail(where, "not two tokens with a space between them");
  }
  add_merge(std::string(line.substr(0, space)), std::string(line.substr(space + 1)), where, files);
}

void read_merges_file(const TokenizerTexts& texts, TokenizerFiles& files) {
  const std::string name = name_of(texts, "merges.txt");
  const auto found = texts.files.find("merges.txt");
  if (found == texts.files.end()) fail(name, "is missing");
  size_t number = 0;
  for (std::string_view rest = found->second; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (line.starts_with("#version")) continue;
    add_merge_line(line, name + ": line " + std::to_string(number), files);
  }
}

void read_merges_json(const json& merges, const std::string& where, TokenizerFiles& files) {
  if (!merges.is_array()) fail(where, "not a list");
  for (size_t i = 0; i < merges.size(); ++i) {
    const json& merge = merges[i];
    const std::string at = where + "[" + std::to_string(i) + "]";
    if (merge.is_string()) {
      add_merge_line(merge.get<std::string>(), at, files);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      add_merge(merge[0].get<std::string>(), merge[1].get<std::string>(), at, files);
    } else {
      fail(at, "not two tokens");
    }
  }
}

/// The special tokens by name, and the tokens that the files add by id.
struct Additions {
  std::map<std::string, std::optional<AddedToken>> specials;
  std::set<std::string> named;  // the specials that a file, not the default, names
  std::map<int64_t, AddedToken> by_id;
  std::vector<AddedToken> extra;
};

void read_specials(const Document& document, bool special, Additions& additions) {
  for (const char* key : kSpecials) {
    const json* value = document.find(key);
    if (value == nullptr) continue;
    additions.named.insert(key);
    additions.specials[key] = std::nullopt;
    if (!value->is_null()) additions.specials[key] = read_token(*value, special, document.name + ": " + key);
  }
  for (const char* key : {"extra_special_tokens", "additional_special_tokens"}) {
    const json* list = document.find(key);
    if (list == nullptr || list->empty()) continue;
    const std::string where = document.name + ": " + key;
    if (!list->is_array()) fail(where, "not a list");
    for (const json& value : *list) additions.extra.push_back(read_token(value, true, where));
    break;
  }
  for (const auto& [key, value] : document.root.items()) {
    const bool known = std::find(std::begin(kSpecials), std::end(kSpecials), key) != std::end(kSpecials);
    if (key.ends_with("_token") && !known && value.is_string()) {
      fail(document.name + ": " + key, "is not a special token of CLIP");
    }
  }
}

int64_t read_id(const json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= kMaxVocabulary + kMaxAdded) {
    fail(where, (value.is_discarded() ? "this" : value.dump()) + " is not a token's id");
  }
  return value.get<int64_t>();
}

void read_added_decoder(const json& tokens, const std::string& where, Additions& additions) {
  if (!tokens.is_object()) fail(where, "not an object");
  for (const auto& [key, value] : tokens.items()) {
    const json id = json::parse(key, nullptr, false);
    if (!value.is_object()) fail(where + ": " + key, "not an object");
    additions.by_id[read_id(id, where + ": " + key)] = read_token(value, false, where + ": " + key);
  }
}

/// added_tokens.json, {text: id}: a text that is also a named special token is matched as written.
void read_added_file(const Document& document, Additions& additions) {
  for (const auto& [text, value] : document.root.items()) {
    AddedToken token = read_token(text, true, document.name);
    token.normalized = std::none_of(additions.named.begin(), additions.named.end(), [&](const auto& key) {
      return additions.specials[key] && additions.specials[key]->text == token.text;
    });
    token.normalized = token.normalized && std::none_of(additions.extra.begin(), additions.extra.end(),
                                                        [&](const auto& e) { return e.text == token.text; });
    additions.by_id[read_id(value, document.name + ": " + text)] = token;
  }
}

void read_added_list(const Document& document, Additions& additions) {
  const json* list = document.find("added_tokens");
  if (list == nullptr || list->is_null()) return;
  const std::string where = document.name + ": added_tokens";
  if (!list->is_array()) fail(where, "not a list");
  for (const json& value : *list) {
    const AddedToken token = read_token(value, false, where);
    additions.by_id[read_id(value.is_object() && value.contains("id") ? value["id"] : json(), where)] = token;
  }
}

/// Gives the added tokens their ids and finds those of the marks.
void resolve(Additions additions, const std::string& where, TokenizerFiles& files) {
  auto next = static_cast<int64_t>(files.vocabulary.size());
  std::map<std::string, int64_t> ids;
  const auto add = [&](AddedToken token) {
    const auto own = files.vocabulary.find(token.text);
    const auto [entry, fresh] =
        ids.try_emplace(token.text, own == files.vocabulary.end() ? next : own->second);
    if (fresh && entry->second == next) ++next;
    token.id = entry->second;
    files.added.push_back(std::move(token));
    if (files.added.size() > kMaxAdded)
      fail(where, "more than " + std::to_string(kMaxAdded) + " added tokens");
  };
  for (auto& [id, token] : additions.by_id) {
    add(token);
    if (files.added.back().id != id) {
      fail(where, "added token \"" + token.text + "\" has id " + std::to_string(id) + ", but it would be " +
                      std::to_string(files.added.back().id));
    }
  }
  const std::map<std::string, int64_t> listed = ids;
  for (const char* key : kSpecials) {
    const auto& token = additions.specials[key];
    if (token && !listed.contains(token->text)) add(*token);
  }
  for (const AddedToken& token : additions.extra) {
    if (!listed.contains(token.text)) add(token);
  }
  const auto mark = [&](const char* key) {
    if (!additions.specials[key]) fail(where, std::string(key) + ": missing");
    return ids.at(additions.specials[key]->text);
  };
  files.begin = mark("bos_token");
  files.end = mark("eos_token");
  files.pad = mark("pad_token");
}

/// Settings that would change the ids and that brume does not have.
void check_config(const Document& config) {
  const auto expect = [&](const char* key, std::initializer_list<json> allowed) {
    const json* value = config.find(key);
    if (value == nullptr || value->is_null()) return;
    if (std::find(allowed.begin(), allowed.end(), *value) == allowed.end()) {
      fail(config.name + ": " + key, value->dump() + " is not supported");
    }
  };
  expect("tokenizer_class", {"CLIPTokenizer", "CLIPTokenizerFast"});
  expect("split_special_tokens", {false});
  expect("padding_side", {"right"});
  expect("truncation_side", {"right"});
}

int64_t read_max_length(const Document& config) {
  const json* value = config.find("model_max_length");
  // transformers writes 1e30 for "not known".
  if (value == nullptr || value->is_null() || (value->is_number_float() && value->get<double>() > 1e20)) {
    return kDefaultLength;
  }
  if (!value->is_number_unsigned() || value->get<uint64_t>() < 3 || value->get<uint64_t>() > 65536) {
    fail(config.name + ": model_max_length", value->dump() + " is not a whole number from 3 to 65536");
  }
  return value->get<int64_t>();
}

/// The vocabulary, and the model without its merges.
void build_model(const json& vocabulary, const std::string& where, const Additions& additions,
                 TokenizerFiles& files) {
  read_vocabulary(vocabulary, where, files);
  const auto& unknown = additions.specials.at("unk_token");
  std::optional<int64_t> unknown_id;
  if (unknown) {
    const auto found = files.vocabulary.find(unknown->text);
    if (found != files.vocabulary.end()) unknown_id = found->second;
  }
  files.model = BytePairModel(files.vocabulary, unknown_id);
  if (!files.model.complete()) fail(where, "lacks the symbol of a byte, and has no unknown token");
}

}  // namespace

TokenizerFiles read_tokenizer(const TokenizerTexts& texts) {
  const Document config = read_object(texts, "tokenizer_config.json");
  const Document serialized = read_object(texts, "tokenizer.json");
  check_config(config);

  Additions additions;
  for (const char* key : {"eos_token", "unk_token", "pad_token"}) {
    additions.specials[key] = AddedToken{.text = "<|endoftext|>"};
  }
  additions.specials["bos_token"] = AddedToken{.text = "<|startoftext|>"};
  read_specials(config, false, additions);
  if (const json* added = config.find("added_tokens_decoder")) {
    read_added_decoder(*added, config.name + ": added_tokens_decoder", additions);
  } else {
    read_specials(read_object(texts, "special_tokens_map.json"), true, additions);
    read_added_file(read_object(texts, "added_tokens.json"), additions);
    read_added_list(serialized, additions);
  }
  if (texts.pad) additions.specials["pad_token"] = AddedToken{.text = *texts.pad};

  TokenizerFiles files;
  files.max_length = read_max_length(config);
  if (!serialized.root.empty()) {
    const json* model = serialized.find("model");
    const std::string where = serialized.name + ": model";
    if (model == nullptr || !model->is_object()) fail(where, "missing");
    if (model->value("type", json("BPE")) != "BPE") fail(where, "type: not \"BPE\"");
    build_model(model->value("vocab", json()), where + ".vocab", additions, files);
    read_merges_json(model->value("merges", json()), where + ".merges", files);
  } else {
    if (!texts.files.contains("vocab.json"))
      fail(texts.where, "neither tokenizer.json nor vocab.json is here");
    const Document vocabulary = read_object(texts, "vocab.json");
    build_model(vocabulary.root, vocabulary.name, additions, files);
    read_merges_file(texts, files);
  }
  resolve(std::move(additions), texts.where, files);
  return files;
}

}  // namespace brume
