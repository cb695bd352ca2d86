#include "brume/batch/model_digest.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <vector>

#include "brume/base/error.h"
#include "brume/base/file.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMostNote = 4096;  // bytes

fs::path note_in(const fs::path& directory) { return directory / ".brume-model.json"; }

/// Of lines in no matter what order.
std::string digest_of(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return hex_digits(sha256(std::as_bytes(std::span(all))));
}

/// Changes with every way to change a file that leaves a trace without its being read.
std::string looks_of(std::span<const NamedFile> files) {
  std::vector<std::string> lines;
  for (const NamedFile& file : files) {
    std::error_code failed;
    struct stat status {};
    if (::stat(file.path.c_str(), &status) != 0) return {};
    std::ostringstream line;
    line << file.name << '\0' << fs::weakly_canonical(file.path, failed).string() << '\0' << status.st_ino
         << ' ' << status.st_size;
    for (const timespec& time : {status.st_mtim, status.st_ctim})
      line << ' ' << time.tv_sec << '.' << time.tv_nsec;
    lines.push_back(line.str() + '\n');
  }
  return digest_of(std::move(lines));
}

std::string note_of(const std::string& looks, const std::string& digest) {
  return nlohmann::ordered_json{{"files", looks}, {"model_hash", digest}}.dump() + "\n";
}

/// Empty where there is none.
std::string read_note(const fs::path& directory) {
  try {
    return read_text_file(note_in(directory), kMostNote, ExitCode::kOutputFailed);
  } catch (const Error&) {
    return {};  // then the model is not known, which is told
  }
}

}  // namespace

std::string model_digest(std::span<const NamedFile> files) {
  std::vector<std::string> lines;
  for (const NamedFile& file : files) {
    // A zero byte ends the name: no other name and digest give the same bytes.
    lines.push_back(file.name + '\0' + hex_digits(sha256_of_file(file.path, ExitCode::kModelInvalid)) + '\n');
  }
  return digest_of(std::move(lines));
}

std::string note_model_digest(std::span<const NamedFile> files, const fs::path& directory,
                              const std::string& mark) {
  const std::string looks = looks_of(files);  // before: what changes meanwhile is then not known
  std::string digest = model_digest(files);
  const std::string note = note_of(looks, digest);
  if (note != read_note(directory))
    write_file_atomically(note_in(directory), std::as_bytes(std::span(note)), Existing::kReplaceName, mark);
  return digest;
}

std::optional<std::string> known_model_digest(std::span<const NamedFile> files, const fs::path& directory) {
  const auto note = nlohmann::json::parse(read_note(directory), nullptr, /*allow_exceptions=*/false);
  if (!note.is_object() || !note.value("model_hash", nlohmann::json()).is_string()) return std::nullopt;
  const std::string looks = looks_of(files);
  if (looks.empty() || note.value("files", nlohmann::json()) != looks) return std::nullopt;
  return note["model_hash"].get<std::string>();
}

}  // namespace brume::batch
