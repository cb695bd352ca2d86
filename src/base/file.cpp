#include "brume/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "brume/base/directory.h"

namespace brume {

namespace {

std::string reason(int error_number) { return std::generic_category().message(error_number); }

[[noreturn]] void output_error(const std::string& where, int error_number) {
  const char* remedy = "choose a place you may write to";
  if (error_number == ENOSPC || error_number == EDQUOT) remedy = "free some space or choose another disk";
  if (error_number == EFBIG) remedy = "raise the limit on file sizes (ulimit -f)";
  if (error_number == EPIPE) remedy = "the reader of the pipe is gone";
  if (error_number == ENAMETOOLONG) remedy = "use a shorter name";
  throw Error(ExitCode::kOutputFailed, where, "cannot write: " + reason(error_number), remedy);
}

// A signal handler that ends the program can reach nothing but a variable of static lifetime.
std::atomic<const char*> unfinished_file = nullptr;

constexpr std::string_view kRandomPart = "XXXXXX";  // what mkostemps fills in
constexpr std::string_view kTemporaryEnd = ".tmp";

/// How the names of temporary files with this mark begin.
std::string temporary_start(const std::string& mark) { return ".brume." + (mark.empty() ? "" : mark + "."); }

/// The temporary file of one atomic write: gone with the object unless it was renamed.
class TemporaryFile {
 public:
  /// In `directory`; `name` is for the message.
  TemporaryFile(const std::filesystem::path& directory, const std::string& name,
                const std::string& mark = {}) {
    name_ =
        (directory / temporary_start(mark)).string() + std::string(kRandomPart) + std::string(kTemporaryEnd);
    fd_ = ::mkostemps(name_.data(), static_cast<int>(kTemporaryEnd.size()), O_CLOEXEC);
    if (fd_ < 0) output_error(name, errno);
    unfinished_file = name_.c_str();
    // mkostemps makes the file private; give it the mode that an ordinary creation would.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(fd_, 0666 & ~mask);
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!name_.empty()) ::unlink(name_.c_str());
    unfinished_file = nullptr;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_; }
  const char* name() const { return name_.c_str(); }
  void renamed() {
    unfinished_file = nullptr;
    name_.clear();
  }

 private:
  std::string name_;
  int fd_ = -1;
};

/// A device, a pipe or a socket.
bool is_special(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_other(std::filesystem::status(path, ignored));
}

/// Gives a file's bytes to a sink; false to give up.
using Produce = std::function<bool(const ByteSink&)>;

Produce from_parts(std::span<const std::span<const std::byte>> parts) {
  return [parts](const ByteSink& sink) {
    for (const std::span<const std::byte> part : parts) sink(part);
    return true;
  };
}

ByteSink sink_of(int fd, const std::string& name) {
  return [fd, &name](std::span<const std::byte> bytes) { write_all(fd, bytes, name); };
}

bool write_into(const std::filesystem::path& path, const Produce& produce) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) output_error(path.string(), errno);
  try {
    const std::string name = path.string();
    const bool whole = produce(sink_of(fd, name));
    ::close(fd);
    return whole;
  } catch (...) {
    ::close(fd);
    throw;
  }
}

std::filesystem::path directory_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

/// 0, or the error's number. On some file systems a signal ends it early.
int synced(int fd) {
  int failed = 0;
  do {
    failed = ::fsync(fd) == 0 ? 0 : errno;
  } while (failed == EINTR);
  return failed;
}

/// `name` is for the message.
void sync_file(int fd, const std::string& name) {
  if (const int failed = synced(fd); failed != 0) output_error(name, failed);
}

int rename_keeping(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::link(from, to) != 0) return -1;  // file systems without RENAME_NOREPLACE
  return ::unlink(from);
}

enum class Written {
  kDone,
  kTaken,  // it is there and may not be replaced
  kGivenUp,
};

/// Writes `target` by way of a temporary file.
Written write_in_place(const std::filesystem::path& target, const Produce& produce, Existing existing,
                       const std::string& mark, const std::string& name) {
  TemporaryFile temporary(directory_of(target), name, mark);
  if (!produce(sink_of(temporary.fd(), name))) return Written::kGivenUp;
  sync_file(temporary.fd(), name);
  const int failed = existing == Existing::kKeep ? rename_keeping(temporary.name(), target.c_str())
                                                 : ::rename(temporary.name(), target.c_str());
  if (failed != 0 && errno == EEXIST && existing == Existing::kKeep) return Written::kTaken;
  if (failed != 0) output_error(name, errno);
  temporary.renamed();
  sync_directory(directory_of(target));
  return Written::kDone;
}

}  // namespace

void sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) output_error(directory.string(), errno);
  // Some file systems (FUSE, network ones) refuse to sync a directory; the file itself is already safe there.
  const int failed = synced(fd);
  ::close(fd);
  if (failed != 0 && failed != EINVAL && failed != ENOTSUP) output_error(directory.string(), failed);
}

std::vector<Temporary> temporaries_in(const std::filesystem::path& directory) {
  const std::string start = temporary_start({});
  const size_t tail = 1 + kRandomPart.size() + kTemporaryEnd.size();  // ".XXXXXX.tmp"
  std::vector<Temporary> found;
  for_each_entry(directory, ExitCode::kOutputFailed, [&](const std::filesystem::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    if (name.size() <= start.size() + tail || !name.starts_with(start) || !name.ends_with(kTemporaryEnd))
      return;
    const std::string mark = name.substr(start.size(), name.size() - start.size() - tail);
    if (name[start.size() + mark.size()] == '.') found.push_back({entry.path(), mark});
  });
  return found;
}

std::filesystem::path written_place(const std::filesystem::path& path) {
  constexpr int kMostLinks = 40;  // Linux's own limit
  std::filesystem::path place = path;
  std::error_code failed;
  for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(place, failed); ++i) {
    const std::filesystem::path target = std::filesystem::read_symlink(place, failed);
    if (failed) return path;
    place = target.is_absolute() ? target : place.parent_path() / target;
  }
  const std::filesystem::path full = std::filesystem::absolute(place, failed);
  const std::filesystem::path directory = std::filesystem::canonical(full.parent_path(), failed);
  return failed ? place : directory / full.filename();
}

void refuse_link(const std::filesystem::path& path) {
  throw Error(ExitCode::kOutputFailed, path.string(), "is a symbolic link, and not followed", "move it away");
}

void remove_unfinished_file() {
  if (const char* name = unfinished_file; name != nullptr) ::unlink(name);
}

void check_can_create(const std::filesystem::path& directory) {
  const TemporaryFile probe(directory, directory.string());
}

InputFile::InputFile(std::filesystem::path path, ExitCode code) : path_(std::move(path)), code_(code) {
  // O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    throw Error(code, path_.string(), "cannot read: " + reason(errno), "check the path and its permissions");
  }
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    throw Error(code, path_.string(), "is not a regular file", "name a file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      code_(other.code_),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

void InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(code_, path_.string(), "cannot read: " + reason(errno));
    if (n == 0)
      throw Error(code_, path_.string(), "ends early: it was cut while being read", "fetch it again");
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
}

std::string read_text_file(const std::filesystem::path& path, uint64_t limit, ExitCode code) {
  const InputFile file(path, code);
  if (file.size() > limit) {
    throw Error(
        code, path.string(),
        "has " + std::to_string(file.size()) + " bytes, more than the limit of " + std::to_string(limit));
  }
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                           Existing existing, const std::string& mark) {
  write_parts_atomically(path, std::span(&bytes, 1), existing, mark);
}

void write_parts_atomically(const std::filesystem::path& path,
                            std::span<const std::span<const std::byte>> parts, Existing existing,
                            const std::string& mark) {
  write_stream_atomically(path, from_parts(parts), mark, existing);
}

bool write_new_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                    const std::string& mark) {
  const Produce produce = from_parts(std::span(&bytes, 1));
  return write_in_place(path, produce, Existing::kKeep, mark, path.string()) == Written::kDone;
}

bool write_stream_atomically(const std::filesystem::path& path,
                             const std::function<bool(const ByteSink&)>& produce, const std::string& mark,
                             Existing existing) {
  if (existing == Existing::kReplace && is_special(path)) return write_into(path, produce);
  const std::filesystem::path target = existing == Existing::kReplace ? written_place(path) : path;
  const Written written = write_in_place(target, produce, existing, mark, path.string());
  if (written == Written::kTaken) output_error(path.string(), EEXIST);
  return written == Written::kDone;
}

void write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) output_error(name, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

}  // namespace brume
