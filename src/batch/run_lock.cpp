#include "brume/batch/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"

namespace brume::batch {

namespace {

constexpr std::chrono::milliseconds kBetween{10};

int tries(Patience patience) {
  constexpr std::chrono::minutes kMany{10};  // a thousand shards may begin at once
  if (patience == Patience::kMinutes) return static_cast<int>(kMany / kBetween);
  return patience == Patience::kSome ? 10 : 1;
}

std::string signature() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host.front() = '?';
  return "process " + std::to_string(::getpid()) + " on " + host.data();
}

std::string note_in(int fd) {
  std::array<char, 300> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
  return n > 0 ? std::string(text.data(), static_cast<size_t>(n)) : "another process";
}

/// Whether `fd` is still the file of that name: its last holder may have removed it since it was opened.
bool is_file(int fd, const std::filesystem::path& file) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

}  // namespace

RunLock::RunLock(std::filesystem::path file, const std::string& what, Patience patience)
    : file_(std::move(file)) {
  for (int left = tries(patience); !take(); std::this_thread::sleep_for(kBetween)) {
    if (--left > 0) continue;
    throw Error(ExitCode::kLocked, what, "is being worked on by " + holder(file_).value_or("another process"),
                "wait for its end, or choose another directory");
  }
  if (holds_) sign();
}

RunLock::~RunLock() {
  // The name goes first: whoever opens it afterwards makes a file of its own. One that was not ours stays.
  if (holds_) ::unlink(file_.c_str());
  ::close(fd_);
}

/// False while somebody else has it.
bool RunLock::take() {
  fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0 && errno == ELOOP) refuse_link(file_);
  if (fd_ < 0) {
    throw Error(ExitCode::kOutputFailed, file_.string(),
                "cannot write: " + std::generic_category().message(errno), "choose a place you may write to");
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      holds_ = false;  // no locks on this file system
      return true;
    }
  } else if (is_file(fd_, file_)) {
    return true;
  }
  ::close(std::exchange(fd_, -1));
  return false;
}

void RunLock::sign() const {
  const std::string text = signature();
  try {
    if (::ftruncate(fd_, 0) != 0) {
      throw Error(ExitCode::kOutputFailed, file_.string(),
                  "cannot write: " + std::generic_category().message(errno));
    }
    write_all(fd_, std::as_bytes(std::span(text)), file_.string());
  } catch (...) {
    ::unlink(file_.c_str());
    ::close(fd_);
    throw;
  }
}

std::optional<std::string> RunLock::holder(const std::filesystem::path& file, Patience patience) {
  std::optional<std::string> note;
  for (int left = tries(patience); left > 0; --left) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return std::nullopt;
    const bool taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (taken) note = note_in(fd);
    ::close(fd);
    if (!taken) return std::nullopt;
    if (left > 1) std::this_thread::sleep_for(kBetween);
  }
  return note;
}

}  // namespace brume::batch
