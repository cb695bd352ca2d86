#include "brume/text/wildcard_files.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "spans.h"

namespace brume {

namespace {

constexpr uint64_t kMostBytes = uint64_t{16} << 20;

std::vector<std::string> choices_of(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed_left(trimmed_right(text.substr(0, end)));
    if (!line.empty() && !line.starts_with('#')) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

WildcardFiles::WildcardFiles(const std::filesystem::path& directory) {
  std::error_code failed;
  directory_ = std::filesystem::canonical(directory, failed);
  if (failed || !std::filesystem::is_directory(directory_, failed))
    throw Error(ExitCode::kInputInvalid, "--wildcards " + directory.string(), "is no directory",
                "name the directory of the .txt files");
}

/// Only names of plain files below the directory: the prompt may come from anywhere.
std::filesystem::path WildcardFiles::file_of(const std::string& name) const {
  const auto refuse = [&](const std::string& problem, const std::string& remedy) {
    throw Error(ExitCode::kInputInvalid, "prompt: __" + name + "__", problem, remedy);
  };
  const std::filesystem::path relative = name + ".txt";
  const bool plain =
      relative.is_relative() && std::none_of(relative.begin(), relative.end(), [](const auto& part) {
        return part.empty() || part == "." || part == "..";
      });
  if (!plain)
    refuse("does not name a file in the directory of --wildcards", "use letters, digits, _ - and /");
  std::error_code failed;
  std::filesystem::path file = std::filesystem::canonical(directory_ / relative, failed);
  if (failed) refuse("there is no " + (directory_ / relative).string(), "write the file, a choice a line");
  const auto [end, unused] = std::mismatch(directory_.begin(), directory_.end(), file.begin(), file.end());
  if (end != directory_.end()) refuse("leads out of " + directory_.string(), "copy the file into it");
  return file;
}

const std::vector<std::string>& WildcardFiles::lines(const std::string& name) {
  const auto known = files_.find(name);
  if (known != files_.end()) return known->second;
  const std::filesystem::path file = file_of(name);
  const std::string text = read_text_file(file, kMostBytes, ExitCode::kInputInvalid);
  if (!is_utf8(text))
    throw Error(ExitCode::kInputInvalid, file.string(), "is not valid UTF-8", "save it as UTF-8");
  std::vector<std::string> choices = choices_of(text);
  if (choices.empty())
    throw Error(ExitCode::kInputInvalid, file.string(), "has no choices", "write one a line");
  return files_.emplace(name, std::move(choices)).first->second;
}

Wildcards wildcards_in(const std::optional<std::filesystem::path>& directory) {
  if (!directory) return {};
  const auto files = std::make_shared<WildcardFiles>(*directory);
  return [files](const std::string& name) { return &files->lines(name); };
}

}  // namespace brume
