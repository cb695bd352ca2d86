#include "brume/batch/failure_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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
#include "brume/batch/shard_files.h"
#include "failure_lines.h"
#include "jobs/line_kinds.h"
#include "sync_data.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

bool is_there(const fs::path& file) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(file, failed));
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

FailureFile::FailureFile(FailurePlace place) : place_(std::move(place)), lists_(find_lists()) {
  for (const List& list : lists_) take_in_left_over(list);
  for (const List& list : lists_) remember(list);
}

FailureFile::~FailureFile() {
  if (fd_ >= 0) ::close(fd_);
}

/// Its own, and those of the shards that it holds all jobs of. Nobody is at work on these: their runs would
/// have jobs of this one.
std::vector<FailureFile::List> FailureFile::find_lists() const {
  const fs::path& directory = place_.directory;
  std::vector<Shard> shards{place_.shard};
  for (const ShardFile& kind : {kFailureList, kFreshFailures}) {
    for (const Shard& other : kind.shards_in(directory)) {
      if (place_.shard.covers(other) && std::find(shards.begin(), shards.end(), other) == shards.end())
        shards.push_back(other);
    }
  }
  std::vector<List> lists;
  for (const Shard& shard : shards) {
    const fs::path file = kFailureList.of(directory, shard);
    std::error_code failed;
    lists.push_back({file, kFreshFailures.of(directory, shard), fs::weakly_canonical(file, failed)});
  }
  return lists;
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

void FailureFile::take_in_left_over(const List& list) const {
  if (!is_there(list.fresh)) return;
  // It may have failed at jobs that the list has already.
  std::unordered_set<uint64_t> again;
  for_each_failure_line(list.fresh, LastLine::kOnlyWhole, [&](const std::string& line) {
    for (const uint64_t job : identities(line)) again.insert(job);
  });
  write(list, {list}, [&](const List&, const std::string& line) {
    const std::vector<uint64_t> jobs = identities(line);
    return jobs.empty() ||
           !std::all_of(jobs.begin(), jobs.end(), [&](uint64_t job) { return again.contains(job); });
  });
}

void FailureFile::remember(const List& list) {
  for_each_failure_line(list.file, LastLine::kTake, [this](const std::string& line) {
    const std::string origin = origin_of(line);
    auto known = std::find(origins_.begin(), origins_.end(), origin);
    if (known == origins_.end()) known = origins_.insert(known, origin);
    for (const uint64_t job : identities(line))
      earlier_.emplace(job, static_cast<size_t>(known - origins_.begin()));
  });
}

void FailureFile::resolve(const Job& job) {
  if (!earlier_.empty()) earlier_.erase(identity(job));
}

/// The job file that it is from: of a job that comes from a list, the one that the list says.
std::string FailureFile::origin_for(const Job& job) const {
  const fs::path& jobs = place_.jobs.at(job.file);
  const auto is_it = [&](const List& list) { return list.place == jobs; };
  if (std::none_of(lists_.begin(), lists_.end(), is_it)) return jobs.string();
  const auto known = earlier_.find(identity(job));
  return known == earlier_.end() ? "" : origins_[known->second];
}

/// It is read by this run.
bool FailureFile::is_jobs(const List& list) const {
  return std::find(place_.jobs.begin(), place_.jobs.end(), list.place) != place_.jobs.end();
}

void FailureFile::add(const FailedJob& failed) {
  const std::string from = origin_for(failed.job);
  resolve(failed.job);
  Remarks remarks{{"failed", failed.reason}};
  if (!from.empty()) remarks.emplace_back("from", from);
  if (failed.key) remarks.emplace_back("key", failed.key->hex());
  const std::string line = to_json_line(failed.job, remarks) + "\n";
  const fs::path& fresh = lists_.front().fresh;
  if (fd_ < 0) {
    fd_ = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) refuse_list(fresh, "cannot write: " + std::generic_category().message(errno));
    sync_directory(place_.directory);
  }
  try {
    write_all(fd_, std::as_bytes(std::span(line)), fresh.string());
    if (failed.key && !sync_data(fd_))
      refuse_list(fresh, "cannot write: " + std::generic_category().message(errno));
  } catch (const Error&) {
    if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) errno = 0;  // a half line is passed over
    throw;
  }
  end_ += line.size();
}

bool FailureFile::is_kept(const List& list, const std::string& line, bool complete) const {
  const std::vector<uint64_t> jobs = identities(line);
  if (jobs.empty()) return true;
  // Read to its end: what is not among its jobs any more, its owner has taken out or mended. Of its own lines
  // a shard has read, but not drawn, those that became another's.
  if (complete && is_jobs(list) && place_.shard.is_whole()) return false;
  const std::string origin = origin_of(line);
  if (complete && !origin.empty() &&
      std::find(place_.jobs.begin(), place_.jobs.end(), origin) != place_.jobs.end())
    return false;
  return std::any_of(jobs.begin(), jobs.end(), [this](uint64_t job) { return earlier_.contains(job); });
}

void FailureFile::settle(bool complete) {
  const auto is_of_use = [](const List& list) { return is_there(list.file) || is_there(list.fresh); };
  const auto keep = [&](const List& list, const std::string& line) { return is_kept(list, line, complete); };
  if (complete) {
    if (std::any_of(lists_.begin(), lists_.end(), is_of_use)) write(lists_.front(), lists_, keep);
    return;
  }
  for (const List& list : lists_) {
    if (is_of_use(list)) write(list, {list}, keep, is_jobs(list) ? Empty::kStays : Empty::kGoes);
  }
}

/// The earlier lines that are kept, each job of several lists once, then the fresh ones; and nothing else
/// stays of the lists they were in.
void FailureFile::write(const List& to, const std::vector<List>& from, const LineTest& keep,
                        Empty empty) const {
  bool any = empty == Empty::kStays;
  const auto produce = [&](const ByteSink& sink) {
    const auto put = [&](const std::string& line) {
      sink(std::as_bytes(std::span(line)));
      sink(std::as_bytes(std::span("\n", 1)));
      any = true;
    };
    std::unordered_set<uint64_t> written;
    const auto is_new = [&](const std::string& line) {
      const std::vector<uint64_t> jobs = identities(line);
      const auto insert = [&](uint64_t job) { return written.insert(job).second; };
      return jobs.empty() || std::count_if(jobs.begin(), jobs.end(), insert) > 0;
    };
    for (const List& list : from) {
      for_each_failure_line(list.file, LastLine::kTake, [&](const std::string& line) {
        if (keep(list, line) && is_new(line)) put(line);
      });
    }
    for_each_failure_line(to.fresh, LastLine::kOnlyWhole, put);
    return any;
  };
  write_stream_atomically(to.file, produce, place_.shard.name(), Existing::kReplaceName);
  std::error_code ignored;
  if (!any) fs::remove(to.file, ignored);
  fs::remove(to.fresh, ignored);
  for (const List& list : from) {
    if (list.file != to.file) fs::remove(list.file, ignored);
  }
}

}  // namespace brume::batch
