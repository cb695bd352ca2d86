#include "failure_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "brume/base/error.h"

namespace brume::batch {

namespace {

/// What getline grows, freed also where the taker of a line throws.
struct LineBuffer {
  LineBuffer() = default;
  ~LineBuffer() { std::free(text); }
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  ssize_t read(std::FILE* file) { return ::getline(&text, &room, file); }

  char* text = nullptr;
  size_t room = 0;
};

}  // namespace

void refuse_list(const std::filesystem::path& file, const std::string& problem) {
  throw Error(ExitCode::kOutputFailed, file.string(), problem,
              "the list of failed jobs must be an ordinary file; move this away");
}

void for_each_failure_line(const std::filesystem::path& file, LastLine last,
                           const std::function<void(const std::string& line)>& take) {
  // A link would copy what it leads to into the list, for all who may read that.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return;
  if (fd < 0 && errno == ELOOP) refuse_list(file, "is a symbolic link");
  if (fd < 0) refuse_list(file, "cannot read: " + std::generic_category().message(errno));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fdopen(fd, "r"), std::fclose);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) refuse_list(file, "is no ordinary file");
  LineBuffer buffer;
  for (ssize_t length = buffer.read(stream.get()); length >= 0; length = buffer.read(stream.get())) {
    std::string line(buffer.text, static_cast<size_t>(length));
    const bool whole = line.ends_with('\n');
    if (whole) line.pop_back();
    if (!line.empty() && (whole || last == LastLine::kTake)) take(line);
  }
  if (std::ferror(stream.get()) != 0)
    refuse_list(file, "cannot read: " + std::generic_category().message(errno));
}

}  // namespace brume::batch
