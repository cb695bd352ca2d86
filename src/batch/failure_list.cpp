#include "brume/batch/failure_list.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/job_line.h"
#include "jobs/line_kinds.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

/// The same for a job and for its line in the file.
uint64_t identity(const Job& job) {
  const std::string line = to_json_line(job);
  const Sha256 digest = sha256(std::as_bytes(std::span(line)));
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(number); ++i) number = number << 8 | digest[i];
  return number;
}

/// Of the jobs that a line asks for: one, unless somebody has edited it.
std::vector<uint64_t> identities(const std::string& line) {
  std::vector<uint64_t> found;
  try {
    const auto request = read_line(line);
    for (int64_t i = 0; request && i < request->pictures(); ++i)
      found.push_back(identity(request->picture(i)));
  } catch (const Error&) {
    found.clear();
  }
  return found;
}

std::string origin_of(const std::string& line) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return {};
  const auto from = object.find("_from");
  return from != object.end() && from->is_string() ? from->get<std::string>() : "";
}

template <class Take>
void for_each_line(const fs::path& file, const Take& take) {
  std::ifstream lines(file, std::ios::binary);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) take(line);
  }
}

void put_line(const ByteSink& sink, const std::string& line) {
  sink(std::as_bytes(std::span(line)));
  sink(std::as_bytes(std::span("\n", 1)));
}

bool is_there(const fs::path& file) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(file, failed));
}

}  // namespace

FailureList::FailureList(BatchListener& next, FailureListPlace place)
    : PassingListener(next),
      place_(std::move(place)),
      fresh_(place_.file.parent_path() / ("." + place_.file.filename().string() + ".new")) {
  // A run that was killed has left its failures: they are earlier ones now.
  if (is_there(fresh_)) write([](const std::string&) { return true; });
  for_each_line(place_.file, [this](const std::string& line) {
    for (const uint64_t job : identities(line)) earlier_.insert(job);
  });
}

FailureList::~FailureList() {
  if (fd_ >= 0) ::close(fd_);
}

void FailureList::on_skipped(const ReadyJob& job) {
  resolve(job.job);
  PassingListener::on_skipped(job);
}

void FailureList::on_drawn(const ReadyJob& job, const fs::path& file, double seconds) {
  resolve(job.job);
  PassingListener::on_drawn(job, file, seconds);
}

void FailureList::on_failed(const Job& job, const std::string& reason) {
  resolve(job);
  Remarks remarks{{"failed", reason}};
  if (!place_.from.empty()) remarks.emplace_back("from", place_.from);
  append(to_json_line(job, remarks) + "\n");
  PassingListener::on_failed(job, reason);
}

void FailureList::resolve(const Job& job) {
  if (!earlier_.empty()) earlier_.erase(identity(job));
}

void FailureList::append(const std::string& line) {
  if (fd_ < 0) {
    fd_ = ::open(fresh_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) {
      throw Error(ExitCode::kOutputFailed, fresh_.string(),
                  "cannot write: " + std::generic_category().message(errno),
                  "choose a place you may write to");
    }
  }
  write_all(fd_, std::as_bytes(std::span(line)), fresh_.string());
}

bool FailureList::is_kept(const std::string& line, bool complete) const {
  if (complete && !place_.from.empty()) {
    // It was read to its end: what is not among its jobs any more, its owner has taken out or mended.
    std::error_code failed;
    if (origin_of(line) == place_.from || fs::equivalent(place_.from, place_.file, failed)) return false;
  }
  const std::vector<uint64_t> jobs = identities(line);
  if (jobs.empty()) return true;
  for (const uint64_t job : jobs) {
    if (earlier_.contains(job)) return true;
  }
  return false;
}

void FailureList::settle(bool complete) {
  if (!is_there(place_.file) && !is_there(fresh_)) return;
  write([&](const std::string& line) { return is_kept(line, complete); });
}

/// The earlier lines that are kept, then the fresh ones.
void FailureList::write(const LineTest& keep) {
  bool any = false;
  const auto produce = [&](const ByteSink& sink) {
    for_each_line(place_.file, [&](const std::string& line) {
      if (!keep(line)) return;
      put_line(sink, line);
      any = true;
    });
    for_each_line(fresh_, [&](const std::string& line) {
      put_line(sink, line);
      any = true;
    });
    return any;
  };
  write_stream_atomically(place_.file, produce, place_.mark);
  std::error_code ignored;
  if (!any) fs::remove(place_.file, ignored);
  fs::remove(fresh_, ignored);
}

}  // namespace brume::batch
