#include "brume/batch/jobs_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "line_kinds.h"
#include "line_reader.h"

namespace brume::batch {

namespace {

/// A job file, closed at the end if it is ours.
class Source {
 public:
  Source(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Source(const std::string& place, const JobsReader::StopHook& stop_requested) : name_(place) {
    if (place == "-") {
      fd_ = STDIN_FILENO;
      name_ = "standard input";
      return;
    }
    owned_ = true;
    // Opening a FIFO waits for its writer, and a signal ends the wait.
    do {
      fd_ = ::open(place.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    } while (fd_ < 0 && errno == EINTR && !(stop_requested && stop_requested()));
    if (fd_ < 0 && errno != EINTR) {
      throw Error(ExitCode::kInputInvalid, place, "cannot read: " + std::generic_category().message(errno),
                  "check the path and its permissions");
    }
  }
  ~Source() {
    if (owned_ && fd_ >= 0) ::close(fd_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  LineReader lines(const JobsReader::StopHook& stop_requested) const { return {fd_, name_, stop_requested}; }

 private:
  int fd_ = -1;
  std::string name_;
  bool owned_ = false;
};

}  // namespace

struct JobsReader::Impl {
  explicit Impl(StopHook stop) : stop_requested(std::move(stop)) {}

  void add(const std::string& place) {
    std::error_code failed;
    places.push_back(place);
    if (std::filesystem::is_fifo(place, failed)) {
      sources.emplace_back();
    } else {
      sources.emplace_back(std::in_place, place, stop_requested);
    }
  }

  void begin_file() {
    std::optional<Source>& source = sources[file];
    if (!source) source.emplace(places[file], stop_requested);
    lines.emplace(source->lines(stop_requested));
  }

  /// The next line of the files, or nothing at the end of all and at a stop.
  std::optional<Line> next_line() {
    while (true) {
      if (std::optional<Line> line = lines->next()) return line;
      if (!lines->ended() || file + 1 == sources.size()) return std::nullopt;
      ++file;
      begin_file();
    }
  }

  /// The first picture of `line`, or why there is none; nothing for a comment.
  std::optional<JobOrBadLine> begin(const Line& line) {
    line_number = line.number;
    if (line.too_long) {
      return BadLine{file, line.number,
                     "has more than " + std::to_string(kMostLine) + " bytes; split it into several lines"};
    }
    if (const size_t end = line.text.find('\r'); end < line.text.size() && end + 1 < line.text.size())
      return BadLine{file, line.number, "has a carriage return inside; end lines by a newline"};
    try {
      std::optional<Request> read = read_line(line.text);
      if (!read) return std::nullopt;
      request = std::move(*read);
    } catch (const Error& error) {
      return BadLine{file, line.number, error.what()};
    }
    made = 0;
    return make_next();
  }

  Job make_next() {
    Job job = request->picture(made++);
    job.file = file;
    job.line = line_number;
    job.index = ++index;
    if (made == request->pictures()) request.reset();
    return job;
  }

  StopHook stop_requested;
  std::vector<std::string> places;
  std::deque<std::optional<Source>> sources;  // nothing: not opened yet
  size_t file = 0;                            // whose lines are read
  std::optional<LineReader> lines;            // of it
  std::optional<Request> request;             // the line whose pictures are being made
  int64_t line_number = 0;
  int64_t made = 0;
  int64_t index = 0;
};

JobsReader::JobsReader(const std::vector<std::string>& places, StopHook stop_requested)
    : impl_(std::make_unique<Impl>(std::move(stop_requested))) {
  for (const std::string& place : places) impl_->add(place);
  impl_->begin_file();
}
JobsReader::JobsReader(int fd, std::string name, StopHook stop_requested)
    : impl_(std::make_unique<Impl>(std::move(stop_requested))) {
  impl_->sources.emplace_back(std::in_place, fd, std::move(name));
  impl_->begin_file();
}
JobsReader::~JobsReader() = default;
JobsReader::JobsReader(JobsReader&&) noexcept = default;
JobsReader& JobsReader::operator=(JobsReader&&) noexcept = default;

std::optional<JobOrBadLine> JobsReader::next() {
  // Not only where it waits: what has been read already may take long to look at.
  if (impl_->stop_requested && impl_->stop_requested()) return std::nullopt;
  if (impl_->request) return impl_->make_next();
  while (const std::optional<Line> line = impl_->next_line()) {
    if (std::optional<JobOrBadLine> item = impl_->begin(*line)) return item;
  }
  return std::nullopt;
}

bool JobsReader::ended() const {
  return impl_->file + 1 == impl_->sources.size() && impl_->lines->ended() && !impl_->request;
}

}  // namespace brume::batch
