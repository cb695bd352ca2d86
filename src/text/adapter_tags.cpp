#include "brume/text/adapter_tags.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <system_error>

#include "brume/base/error.h"

namespace brume {

namespace {

constexpr std::array<std::string_view, 2> kBeginnings{"<lora:", "<lyco:"};
constexpr size_t kMostShown = 60;

/// Where the next tag begins, and how long its beginning is.
struct Beginning {
  size_t at;
  size_t length;
};

std::optional<Beginning> next_tag(std::string_view prompt) {
  std::optional<Beginning> first;
  for (const std::string_view beginning : kBeginnings) {
    const size_t at = prompt.find(beginning);
    if (at != std::string_view::npos && (!first || at < first->at)) first = {at, beginning.size()};
  }
  return first;
}

AdapterTag read_tag(std::string_view inside, const std::string& where) {
  const size_t colon = inside.find(':');
  AdapterTag tag{std::string(inside.substr(0, colon)), {}};
  if (tag.name.empty()) throw Error(ExitCode::kInputInvalid, where, "names nothing", "write <lora:NAME:0.8>");
  if (colon != std::string_view::npos)
    tag.strength = adapter_strength(inside.substr(colon + 1), where, ExitCode::kInputInvalid);
  return tag;
}

}  // namespace

TaggedPrompt split_adapter_tags(const std::string& prompt) {
  TaggedPrompt split;
  std::string_view rest = prompt;
  for (std::optional<Beginning> begin = next_tag(rest); begin; begin = next_tag(rest)) {
    split.words += rest.substr(0, begin->at);
    rest.remove_prefix(begin->at);
    const size_t end = rest.find('>');
    const std::string where(
        rest.substr(0, std::min(end == std::string_view::npos ? end : end + 1, kMostShown)));
    if (end == std::string_view::npos)
      throw Error(ExitCode::kInputInvalid, where, "has no \">\"", "write <lora:NAME:0.8>");
    split.tags.push_back(read_tag(rest.substr(begin->length, end - begin->length), where));
    split.places.push_back(split.words.size());
    rest.remove_prefix(end + 1);
  }
  split.words += rest;
  return split;
}

std::string tags_text(const std::vector<AdapterTag>& tags) {
  std::string text;
  for (const AdapterTag& tag : tags) text += "<lora:" + tag.name + ":" + strength_text(tag.strength) + ">";
  return text;
}

AdapterChoice tagged_adapter(const AdapterTag& tag, const std::filesystem::path& directory) {
  const std::string where = "<lora:" + tag.name + ">";
  const bool plain = tag.name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain || tag.name == "." || tag.name == "..")
    throw Error(ExitCode::kInputInvalid, where, "is not the name of a file in " + directory.string(),
                "name a file of that directory, without its .safetensors");
  const std::filesystem::path file = directory / (tag.name + ".safetensors");
  std::error_code failed;
  if (!std::filesystem::exists(file, failed))
    throw Error(ExitCode::kInputInvalid, where, "there is no " + file.string(),
                "name a file of that directory, without its .safetensors");
  return {file, tag.strength};
}

}  // namespace brume
