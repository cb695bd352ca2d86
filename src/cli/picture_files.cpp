#include "picture_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <string_view>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "standard_output.h"

namespace brume::cli {

namespace fs = std::filesystem;

namespace {

/// Where the number stands in a pattern, and how many digits it has at least.
struct NumberField {
  size_t begin;
  size_t length;
  int digits;
};

std::optional<NumberField> find_number_field(const std::string& name) {
  std::optional<NumberField> field;
  for (size_t at = name.find('%'); at != std::string::npos; at = name.find('%', at)) {
    size_t end = at + 1;
    if (end < name.size() && name[end] == '0') ++end;
    int digits = 0;
    if (end < name.size() && name[end] >= '1' && name[end] <= '9') digits = name[end++] - '0';
    if (field || end >= name.size() || name[end] != 'd') {
      throw Error(ExitCode::kUsage, "-o " + name, "has a % that is no picture number",
                  "write it as %d or %03d, once");
    }
    field = NumberField{at, end + 1 - at, digits};
    at = end + 1;
  }
  return field;
}

std::string padded(int64_t number, int digits) {
  std::string text = std::to_string(number);
  if (text.size() < static_cast<size_t>(digits))
    text.insert(0, static_cast<size_t>(digits) - text.size(), '0');
  return text;
}

void check_directory(const fs::path& directory) {
  const fs::path named = directory.empty() ? "." : directory;
  std::error_code failed;
  if (!fs::is_directory(named, failed)) {
    throw Error(ExitCode::kOutputFailed, named.string(), "no such directory",
                "make it first: mkdir -p " + named.string());
  }
  if (::access(named.c_str(), W_OK | X_OK) != 0) {
    throw Error(ExitCode::kOutputFailed, named.string(), "may not be written to", "choose another place");
  }
  check_can_create(named);
}

void check_no_directory(const fs::path& file) {
  std::error_code ignored;
  if (fs::is_directory(file, ignored))
    throw Error(ExitCode::kOutputFailed, file.string(), "is a directory", "name a file");
}

fs::path numbered(const fs::path& path, int64_t number) {
  fs::path result = path;
  result.replace_filename(path.stem().string() + "_" + std::to_string(number) + path.extension().string());
  return result;
}

bool is_taken(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(file, ignored));
}

/// A name that promises another format would be a lie.
void check_format(const fs::path& name) {
  constexpr std::array<std::string_view, 13> kOthers = {".jpg",  ".jpeg", ".jpe", ".jxl", ".webp",
                                                        ".avif", ".heic", ".gif", ".bmp", ".tif",
                                                        ".tiff", ".tga",  ".ppm"};
  std::string extension = name.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::find(kOthers.begin(), kOthers.end(), extension) == kOthers.end()) return;
  throw Error(ExitCode::kUsage, "-o " + name.string(), "brume writes PNG",
              "name it " + fs::path(name).replace_extension(".png").string());
}

std::vector<fs::path> names_of(const fs::path& pattern, int64_t count) {
  const std::string name = pattern.filename().string();
  const std::optional<NumberField> field = find_number_field(name);
  std::vector<fs::path> names;
  for (int64_t number = 1; number <= count; ++number) {
    if (field) {
      std::string filled = name;
      filled.replace(field->begin, field->length, padded(number, field->digits));
      names.push_back(pattern.parent_path() / filled);
    } else {
      names.push_back(count == 1 ? pattern : numbered(pattern, number));
    }
  }
  return names;
}

}  // namespace

void check_writable(const fs::path& file) {
  check_no_directory(file);
  if (file.filename().native().size() > NAME_MAX)
    throw Error(ExitCode::kOutputFailed, file.string(), "File name too long", "use a shorter name");
  if (!is_special(file)) return check_directory(written_place(file).parent_path());
  if (::access(file.c_str(), W_OK) == 0) return;
  throw Error(ExitCode::kOutputFailed, file.string(), "may not be written to", "choose another place");
}

PictureFiles::PictureFiles(const std::optional<std::string>& option, int64_t count) {
  if (option && is_standard_output(*option)) {
    if (count == 1) return;
    throw Error(ExitCode::kUsage, "-o -", "standard output takes one picture",
                "use -b 1, or name files with -o");
  }
  std::error_code ignored;
  const fs::path place = option.value_or("");
  if (fs::is_directory(place, ignored) || !place.has_filename()) {
    check_directory(place);
    directory_ = place;
    return;
  }
  if (count > 1 && is_special(place)) {
    throw Error(ExitCode::kUsage, "-o " + place.string(), "is a device or a pipe, which takes one picture",
                "use -b 1, or name files with -o");
  }
  check_format(place);
  named_ = names_of(place, count);
  check_writable(named_.back());  // the longest name; the directory is that of all
  for (const fs::path& name : named_) check_no_directory(name);
}

std::optional<fs::path> PictureFiles::write(size_t index, std::span<const std::byte> png) {
  if (!named_.empty()) {
    write_file_atomically(named_.at(index), png);
    return named_[index];
  }
  if (directory_) return write_under_free_name(png);
  if (!print_bytes(png))
    throw Error(ExitCode::kOutputFailed, "standard output", "nobody has read the picture before the stop");
  return {};
}

fs::path PictureFiles::write_under_free_name(std::span<const std::byte> png) {
  while (true) {
    fs::path name =
        *directory_ / (next_number_ == 1 ? fs::path("output.png") : numbered("output.png", next_number_));
    ++next_number_;
    if (is_taken(name)) continue;
    try {
      write_file_atomically(name, png, Existing::kKeep);
      return name;
    } catch (const Error&) {
      // Another run may have taken the name since we looked.
      if (!is_taken(name)) throw;
    }
  }
}

}  // namespace brume::cli
