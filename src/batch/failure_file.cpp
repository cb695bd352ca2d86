#include "brume/batch/failure_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/job_defaults.h"
#include "brume/batch/job_line.h"
#include "jobs/line_kinds.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void output_error(const fs::path& file, const std::string& problem) {
  throw Error(ExitCode::kOutputFailed, file.string(), problem,
              "the list of failed jobs must be an ordinary file; move this away");
}

bool is_there(const fs::path& file) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(file, failed));
}

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

enum class LastLine { kTake, kOnlyWhole };

/// Each line without its end; nothing for a file that is not there.
template <class Take>
void for_each_line(const fs::path& file, LastLine last, const Take& take) {
  const int follow = last == LastLine::kOnlyWhole ? O_NOFOLLOW : 0;  // ours alone, or perhaps the user's link
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | follow);
  if (fd < 0 && errno == ENOENT) return;
  if (fd < 0) output_error(file, "cannot read: " + std::generic_category().message(errno));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fdopen(fd, "r"), std::fclose);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) output_error(file, "is no ordinary file");
  LineBuffer buffer;
  for (ssize_t length = buffer.read(stream.get()); length >= 0; length = buffer.read(stream.get())) {
    std::string line(buffer.text, static_cast<size_t>(length));
    const bool whole = line.ends_with('\n');
    if (whole) line.pop_back();
    if (!line.empty() && (whole || last == LastLine::kTake)) take(line);
  }
  if (std::ferror(stream.get()) != 0)
    output_error(file, "cannot read: " + std::generic_category().message(errno));
}

/// The same for a job and for its line in the file.
uint64_t identity(const Job& job) { return short_digest(to_json_line(job)); }

std::string origin_of(const std::string& line) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return {};
  const auto from = object.find("_from");
  return from != object.end() && from->is_string() ? from->get<std::string>() : "";
}

}  // namespace

FailureFile::FailureFile(FailurePlace place)
    : place_(std::move(place)),
      fresh_(place_.file.parent_path() / ("." + place_.file.filename().string() + ".new")) {
  take_in_left_over();
  std::error_code failed;
  reads_itself_ = !place_.jobs.empty() && fs::equivalent(place_.jobs, place_.file, failed);
  for_each_line(place_.file, LastLine::kTake, [this](const std::string& line) {
    const std::string origin = origin_of(line);
    auto known = std::find(origins_.begin(), origins_.end(), origin);
    if (known == origins_.end()) known = origins_.insert(known, origin);
    for (const uint64_t job : identities(line))
      earlier_.emplace(job, static_cast<size_t>(known - origins_.begin()));
  });
}

FailureFile::~FailureFile() {
  if (fd_ >= 0) ::close(fd_);
}

/// Of the jobs that a line asks for: one, unless somebody has edited it.
std::vector<uint64_t> FailureFile::identities(const std::string& line) const {
  std::vector<uint64_t> found;
  try {
    const auto request = read_line(line);
    for (int64_t i = 0; request && i < request->pictures(); ++i) {
      Job job = request->picture(i);
      complete_job(job.settings, place_.defaults);
      found.push_back(identity(job));
    }
  } catch (const Error&) {
    found.clear();
  }
  return found;
}

void FailureFile::take_in_left_over() {
  if (!is_there(fresh_)) return;
  // It may have failed at jobs that the list has already.
  std::unordered_set<uint64_t> again;
  for_each_line(fresh_, LastLine::kOnlyWhole, [&](const std::string& line) {
    for (const uint64_t job : identities(line)) again.insert(job);
  });
  write([&](const std::string& line) {
    const std::vector<uint64_t> jobs = identities(line);
    return jobs.empty() ||
           !std::all_of(jobs.begin(), jobs.end(), [&](uint64_t job) { return again.contains(job); });
  });
}

void FailureFile::resolve(const Job& job) {
  if (!earlier_.empty()) earlier_.erase(identity(job));
}

void FailureFile::add(const Job& job, const std::string& reason) {
  std::string from = reads_itself_ ? "" : place_.jobs.string();
  if (const auto known = earlier_.find(identity(job)); reads_itself_ && known != earlier_.end())
    from = origins_[known->second];
  resolve(job);
  Remarks remarks{{"failed", reason}};
  if (!from.empty()) remarks.emplace_back("from", from);
  const std::string line = to_json_line(job, remarks) + "\n";
  if (fd_ < 0) fd_ = ::open(fresh_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) output_error(fresh_, "cannot write: " + std::generic_category().message(errno));
  try {
    write_all(fd_, std::as_bytes(std::span(line)), fresh_.string());
  } catch (const Error&) {
    if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) errno = 0;  // a half line is passed over
    throw;
  }
  end_ += line.size();
}

bool FailureFile::is_kept(const std::string& line, bool complete) const {
  const std::vector<uint64_t> jobs = identities(line);
  if (jobs.empty()) return true;
  // Read to its end: what is not among its jobs any more, its owner has taken out or mended. Of its own lines
  // a shard has read, but not drawn, those that became another's.
  if (complete && reads_itself_ && place_.shard.is_whole()) return false;
  if (complete && !place_.jobs.empty() && origin_of(line) == place_.jobs) return false;
  return std::any_of(jobs.begin(), jobs.end(), [this](uint64_t job) { return earlier_.contains(job); });
}

void FailureFile::settle(bool complete) {
  if (!is_there(place_.file) && !is_there(fresh_)) return;
  write([&](const std::string& line) { return is_kept(line, complete); });
}

/// The earlier lines that are kept, then the fresh ones.
void FailureFile::write(const LineTest& keep) {
  bool any = false;
  const auto produce = [&](const ByteSink& sink) {
    const auto put = [&](const std::string& line) {
      sink(std::as_bytes(std::span(line)));
      sink(std::as_bytes(std::span("\n", 1)));
      any = true;
    };
    for_each_line(place_.file, LastLine::kTake, [&](const std::string& line) {
      if (keep(line)) put(line);
    });
    for_each_line(fresh_, LastLine::kOnlyWhole, put);
    return any;
  };
  write_stream_atomically(place_.file, produce, place_.shard.name());
  std::error_code ignored;
  if (!any) fs::remove(written_place(place_.file), ignored);
  fs::remove(fresh_, ignored);
}

}  // namespace brume::batch
