#include "brume/batch/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/shard_files.h"
#include "journal_scan.h"
#include "sync_data.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

// A place in the index: a bit for done, 15 bits for the file, 38 for the offset of the line.
constexpr int kFileShift = 38;
constexpr int kDoneShift = KeyIndex::kValueBits - 1;
constexpr uint64_t kDoneBit = uint64_t{1} << kDoneShift;
constexpr uint64_t kOffsetMask = (uint64_t{1} << kFileShift) - 1;
constexpr uint64_t kFileMask = (uint64_t{1} << (kDoneShift - kFileShift)) - 1;

[[noreturn]] void output_error(const fs::path& path, int error_number) {
  throw Error(ExitCode::kOutputFailed, path.string(),
              "cannot write: " + std::generic_category().message(error_number),
              error_number == ENOSPC || error_number == EDQUOT ? "free some space or choose another disk"
                                                               : "choose a place you may write to");
}

/// Of a journal that is not open.
std::optional<JournalRecord> read_record_in(const fs::path& path, uint64_t offset) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::optional<JournalRecord> record = read_record_at(fd, offset);
  ::close(fd);
  return record;
}

}  // namespace

void check_directory(const fs::path& directory, Access access) {
  std::error_code failed;
  if (!fs::is_directory(directory, failed)) {
    if (fs::exists(directory, failed))
      throw Error(ExitCode::kOutputFailed, directory.string(), "is no directory", "name another one");
    throw Error(ExitCode::kOutputFailed, directory.string(), "no such directory",
                "make it first: mkdir -p " + directory.string());
  }
  if (access == Access::kWrite && ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    output_error(directory, errno);
}

Journal::Journal(fs::path directory, Shard shard, Access access)
    : directory_(std::move(directory)),
      shard_(shard),
      access_(access),
      path_(kJournal.of(directory_, shard)) {
  check_directory(directory_, access_);
  if (access_ == Access::kWrite) lock();
  open_own();
  try {
    if (fd_ >= 0) read_own();
    begin_ = end_;
    if (end_ == 0 && access_ == Access::kWrite) sync_directory(directory_);  // it may be new
    for (const Shard& other : kJournal.shards_in(directory_)) {
      if (other != shard_ && other.overlaps(shard_)) read_other(kJournal.of(directory_, other));
    }
  } catch (...) {
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

/// Of two runs that begin at once one waits here, and then sees the other's lock.
void Journal::lock() {
  const RunLock gate(directory_ / kJournalGate, directory_.string(), Patience::kMinutes);
  lock_.emplace(kJournalLock.of(directory_, shard_), path_.string());
  if (!lock_->holds())
    remarks_.push_back(directory_.string() + ": this file system has no locks; start no second run here");
  refuse_overlapping_runs();
}

/// By their locks: a run that has just begun has no journal yet.
void Journal::refuse_overlapping_runs() const {
  for (const Shard& other : kJournalLock.shards_in(directory_)) {
    if (other == shard_ || !other.overlaps(shard_)) continue;
    if (const auto who = RunLock::holder(kJournalLock.of(directory_, other), Patience::kSome)) {
      throw Error(ExitCode::kLocked, directory_.string(),
                  "some of these jobs are being worked on by " + *who + " (shard " + other.name() + ")",
                  "wait for its end, or divide the jobs as it does");
    }
  }
}

void Journal::open_own() {
  const int how = access_ == Access::kWrite ? O_RDWR | O_CREAT | O_APPEND : O_RDONLY;
  fd_ = ::open(path_.c_str(), how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (fd_ < 0 && errno == ELOOP) refuse_link(path_);
  if (fd_ < 0 && (access_ == Access::kWrite || errno != ENOENT)) output_error(path_, errno);
}

void Journal::read_own() {
  const InputFile file(path_, ExitCode::kOutputFailed);
  int64_t damaged = 0;
  end_ = scan_journal(file, [&](uint64_t offset, const std::optional<RecordHead>& head) {
    if (head) index(0, offset, *head);
    damaged += head ? 0 : 1;
  });
  if (damaged != 0) remarks_.push_back(damaged_remark(path_, damaged));
  torn_ = end_ != file.size();
  if (torn_ && access_ == Access::kWrite) {
    remarks_.push_back(path_.string() + ": cut off a last line that was not written to its end");
    cut_to_end();
  }
}

void Journal::read_other(const fs::path& path) {
  if (others_.size() + 1 >= kFileMask) {
    throw Error(ExitCode::kOutputFailed, directory_.string(), "has too many journals",
                "choose another directory");
  }
  others_.push_back(path);
  const InputFile file(path, ExitCode::kOutputFailed);
  scan_journal(file, [&](uint64_t offset, const std::optional<RecordHead>& head) {
    if (head && shard_.owns(head->key)) index(others_.size(), offset, *head);
  });
}

void Journal::index(uint64_t file, uint64_t offset, const RecordHead& head) {
  if (offset > kOffsetMask) {
    throw Error(ExitCode::kOutputFailed, directory_.string(), "has a journal of more than 256 GiB",
                "choose another directory");
  }
  const uint64_t place =
      (head.status == Status::kDone ? kDoneBit : 0) | file << kFileShift | (offset & kOffsetMask);
  // Lines of two journals have no order; there, what is done stays done, and our own record stays.
  const std::optional<uint64_t> known = places_.find(head.key);
  const bool of_another = known && (*known >> kFileShift & kFileMask) != file;
  if (of_another && file != 0 && ((*known & kDoneBit) != 0 || head.status == Status::kFailed)) return;
  places_.set(head.key, place);
}

void Journal::cut_to_end() {
  if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) output_error(path_, errno);
  torn_ = false;
}

void Journal::append(const JournalRecord& record) {
  if (torn_) cut_to_end();
  const std::string line = journal_line(record);
  torn_ = true;
  try {
    write_all(fd_, std::as_bytes(std::span(line)), path_.string());
    if (!sync_data(fd_)) output_error(path_, errno);
    if (is_removed())
      throw Error(ExitCode::kOutputFailed, path_.string(), "was removed while the batch ran",
                  "leave it there: the next run draws what it does not know of");
  } catch (const Error&) {
    if (::ftruncate(fd_, static_cast<off_t>(end_)) == 0) torn_ = false;
    throw;
  }
  torn_ = false;
  index(0, end_, {record.key, record.status});
  end_ += line.size();
}

/// What goes into a file without a name is lost with us.
bool Journal::is_removed() const {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 && status.st_nlink == 0;
}

bool Journal::has_done_now(const JobKey& key) const {
  const std::optional<uint64_t> place = places_.find(key);
  const bool is_own = place && (*place >> kFileShift & kFileMask) == 0;
  if (!is_own || (*place & kDoneBit) == 0 || (*place & kOffsetMask) < begin_) return false;
  return find(key).has_value();
}

std::optional<JournalRecord> Journal::find(const JobKey& key) const {
  const std::optional<uint64_t> place = places_.find(key);
  if (!place) return std::nullopt;
  const uint64_t file = *place >> kFileShift & kFileMask;
  const uint64_t offset = *place & kOffsetMask;
  std::optional<JournalRecord> record =
      file == 0 ? read_record_at(fd_, offset) : read_record_in(others_.at(file - 1), offset);
  return record && record->key == key ? record : std::nullopt;
}

State state_by_size(const fs::path& directory, const JournalRecord& record) {
  struct stat status {};
  if (::lstat((directory / record.file).c_str(), &status) != 0) return State::kMissing;
  const bool is_it = S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) == record.bytes;
  return is_it ? State::kDone : State::kDamaged;
}

State Journal::check(const JobKey& key, Verify verify) const {
  const std::optional<JournalRecord> record = find(key);
  if (!record) return State::kUnknown;
  if (record->status == Status::kFailed) return State::kFailed;
  const State by_size = state_by_size(directory_, *record);
  if (by_size != State::kDone || verify == Verify::kSize) return by_size;
  try {
    const Sha256 digest = sha256_of_file(directory_ / record->file, ExitCode::kOutputFailed);
    return hex_digits(digest) == record->sha256 ? State::kDone : State::kDamaged;
  } catch (const Error&) {
    return State::kDamaged;  // what cannot be read is drawn again
  }
}

}  // namespace brume::batch
