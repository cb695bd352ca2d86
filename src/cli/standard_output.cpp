#include "standard_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "stream_room.h"

namespace brume::cli {

namespace fs = std::filesystem;

bool print_bytes(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!has_room(STDOUT_FILENO)) return false;
    const std::span<const std::byte> piece = bytes.first(std::min(bytes.size(), kMostPiece));
    write_all(STDOUT_FILENO, piece, "standard output");
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

bool print_text(std::string_view text) { return print_bytes(std::as_bytes(std::span(text))); }

bool print_path(const fs::path& path) { return print_text(path.string() + "\n"); }

bool print_json(const nlohmann::json& value) {
  return print_text(value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

bool is_special(const fs::path& file) {
  std::error_code ignored;
  return fs::is_other(fs::status(file, ignored));
}

bool is_standard_output(const fs::path& file) {
  if (file == "-") return true;
  struct stat named {};
  struct stat out {};
  if (!is_special(file) || ::stat(file.c_str(), &named) != 0 || ::fstat(STDOUT_FILENO, &out) != 0)
    return false;
  return named.st_dev == out.st_dev && named.st_ino == out.st_ino;
}

void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    // The other way round, so that reading and writing fail as before. The lowest number that is free is
    // this.
    const int fd = ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (fd != stream && fd >= 0) ::close(fd);
  }
}

void check_standard_output() {
  const int flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  if (flags != -1 && (flags & O_ACCMODE) != O_RDONLY) return;
  throw Error(ExitCode::kOutputFailed, "standard output", "is closed", "send it to a file or to /dev/null");
}

}  // namespace brume::cli
