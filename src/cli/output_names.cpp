#include "output_names.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "brume/base/error.h"

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
}

fs::path numbered(const fs::path& path, int64_t number) {
  fs::path result = path;
  result.replace_filename(path.stem().string() + "_" + std::to_string(number) + path.extension().string());
  return result;
}

/// Names without -o: nothing that exists is replaced.
std::vector<fs::path> free_names(int64_t count) {
  std::vector<fs::path> names;
  for (int64_t number = 1; static_cast<int64_t>(names.size()) < count; ++number) {
    fs::path name = number == 1 ? fs::path("output.png") : numbered("output.png", number);
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(name, ignored))) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

void check_writable(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_other(fs::status(file, ignored))) return check_directory(file.parent_path());
  if (::access(file.c_str(), W_OK) == 0) return;
  throw Error(ExitCode::kOutputFailed, file.string(), "may not be written to", "choose another place");
}

std::vector<fs::path> output_names(const std::optional<std::string>& option, int64_t count) {
  if (!option) {
    check_directory("");
    return free_names(count);
  }
  if (*option == "-") return {};
  std::error_code ignored;
  fs::path pattern = *option;
  if (fs::is_directory(pattern, ignored) || !pattern.has_filename())
    pattern /= count == 1 ? "output.png" : "output_%04d.png";
  check_writable(pattern);
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

}  // namespace brume::cli
