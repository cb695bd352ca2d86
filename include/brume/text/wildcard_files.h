#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/text/prompt_choices.h"

namespace brume {

/// The choices of a directory of wildcards: those of __name__ are the lines of name.txt in it, and of
/// __a/name__ those of a/name.txt. Blank lines and lines that begin with # are none. A file is read once. Not
/// to be used from several threads.
class WildcardFiles {
 public:
  /// Throws kInputInvalid for what is no directory.
  explicit WildcardFiles(const std::filesystem::path& directory);

  /// At least one. Throws kInputInvalid for a file that is missing, outside the directory (by .. or by a
  /// link), empty, larger than 16 MiB or not UTF-8.
  const std::vector<std::string>& lines(const std::string& name);

 private:
  std::filesystem::path file_of(const std::string& name) const;

  std::filesystem::path directory_;  // without links
  std::map<std::string, std::vector<std::string>> files_;
};

/// The choices of a directory, or no source at all. Throws kInputInvalid for what is no directory.
Wildcards wildcards_in(const std::optional<std::filesystem::path>& directory);

}  // namespace brume
