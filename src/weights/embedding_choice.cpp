#include "brume/weights/embedding_choice.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/escape.h"

namespace brume {

namespace {

bool can_be_written(const std::string& name) {
  return !name.empty() && is_utf8(name) && name.find_first_of(",:\n") == std::string::npos;
}

}  // namespace

EmbeddingChoice embedding_choice(const std::string& text) {
  std::error_code failed;
  const size_t colon = text.rfind(':');
  // What follows the last colon is of the file's name where that is there.
  const bool whole = colon == std::string::npos || std::filesystem::exists(text, failed);
  const std::filesystem::path file = whole ? text : text.substr(0, colon);
  const std::string name = whole ? file.stem().string() : text.substr(colon + 1);
  if (file.empty() || !can_be_written(name))
    throw Error(ExitCode::kUsage, "--embedding " + text.substr(0, 200), "does not say FILE or FILE:NAME",
                "name the file, and after a colon the word that stands for it");
  return {file, name};
}

std::string choice_text(const EmbeddingChoice& choice) { return choice.file.string() + ":" + choice.name; }

void check_name(const EmbeddingChoice& choice) {
  if (can_be_written(choice.name)) return;
  throw Error(ExitCode::kModelInvalid, choice.file.string(), "no prompt can hold its name", "rename it");
}

std::vector<EmbeddingChoice> embeddings_in(const std::filesystem::path& directory) {
  constexpr std::array<std::string_view, 3> kEndings = {".pt", ".bin", ".safetensors"};
  std::error_code failed;
  std::vector<EmbeddingChoice> choices;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::filesystem::path& file = entry->path();
    const std::string ending = file.extension().string();
    const bool known = std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
    if (known && entry->is_regular_file(failed)) choices.push_back({file, file.stem().string()});
  }
  if (failed)
    throw Error(ExitCode::kInputInvalid, "--embeddings-dir " + directory.string(),
                "cannot be read: " + failed.message(), "name the directory of the embeddings");
  std::sort(choices.begin(), choices.end(),
            [](const EmbeddingChoice& a, const EmbeddingChoice& b) { return a.file < b.file; });
  return choices;
}

}  // namespace brume
