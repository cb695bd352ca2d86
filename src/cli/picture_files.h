#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace brume::cli {

/// Where the pictures of a run go. "-o -" is standard output; a name is that file, %d or %03d in it the
/// picture's number from 1, and without one "x.png" becomes x_1.png, x_2.png ... where there are several. A
/// directory, or no -o at all, gets names of ours that are free: output.png, output_2.png, ...
class PictureFiles {
 public:
  /// Throws kUsage for a pattern with other conversions, the name of another format, and several pictures for
  /// one place; kOutputFailed where a file cannot be made.
  PictureFiles(const std::optional<std::string>& option, int64_t count);

  /// The files that were named: nothing for standard output and for names of ours.
  const std::vector<std::filesystem::path>& named() const { return named_; }

  /// Writes the picture with this index, from 0; its path, or nothing for standard output. A named file is
  /// replaced, another never.
  std::optional<std::filesystem::path> write(size_t index, std::span<const std::byte> png);

 private:
  std::filesystem::path write_under_free_name(std::span<const std::byte> png);

  std::vector<std::filesystem::path> named_;
  std::optional<std::filesystem::path> directory_;  // for names of ours
  int64_t next_number_ = 1;                         // of those names
};

/// Throws kOutputFailed if no file can be made at `file`: its directory is missing or may not be written to,
/// or it is a directory itself.
void check_writable(const std::filesystem::path& file);

}  // namespace brume::cli
