#include "brume/batch/jobs_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "line_kinds.h"
#include "line_reader.h"

namespace brume::batch {

namespace {

/// A descriptor, closed at the end if it is ours.
class Source {
 public:
  explicit Source(int fd) : fd_(fd) {}
  Source(const std::string& place, const JobsReader::StopHook& stop_requested) {
    if (place == "-") {
      fd_ = STDIN_FILENO;
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

  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  bool owned_ = false;
};

}  // namespace

struct JobsReader::Impl {
  Impl(const std::string& place, StopHook stop)
      : source(place, stop),
        stop_requested(stop),
        lines(source.fd(), place == "-" ? "standard input" : place, std::move(stop)) {}
  Impl(int fd, std::string name, StopHook stop)
      : source(fd), stop_requested(stop), lines(source.fd(), std::move(name), std::move(stop)) {}

  /// The first picture of `line`, or why there is none; nothing for a comment.
  std::optional<JobOrBadLine> begin(const Line& line) {
    line_number = line.number;
    if (line.too_long) {
      return BadLine{line.number,
                     "has more than " + std::to_string(kMostLine) + " bytes; split it into several lines"};
    }
    try {
      std::optional<Request> read = read_line(line.text);
      if (!read) return std::nullopt;
      request = std::move(*read);
    } catch (const Error& error) {
      return BadLine{line.number, error.what()};
    }
    made = 0;
    return make_next();
  }

  Job make_next() {
    Job job = request->picture(made++);
    job.line = line_number;
    job.index = ++index;
    if (made == request->pictures()) request.reset();
    return job;
  }

  Source source;
  StopHook stop_requested;
  LineReader lines;
  std::optional<Request> request;  // the line whose pictures are being made
  int64_t line_number = 0;
  int64_t made = 0;
  int64_t index = 0;
};

JobsReader::JobsReader(const std::string& place, StopHook stop_requested)
    : impl_(std::make_unique<Impl>(place, std::move(stop_requested))) {}
JobsReader::JobsReader(int fd, std::string name, StopHook stop_requested)
    : impl_(std::make_unique<Impl>(fd, std::move(name), std::move(stop_requested))) {}
JobsReader::~JobsReader() = default;
JobsReader::JobsReader(JobsReader&&) noexcept = default;
JobsReader& JobsReader::operator=(JobsReader&&) noexcept = default;

std::optional<JobOrBadLine> JobsReader::next() {
  // Not only where it waits: what has been read already may take long to look at.
  if (impl_->stop_requested && impl_->stop_requested()) return std::nullopt;
  if (impl_->request) return impl_->make_next();
  while (const std::optional<Line> line = impl_->lines.next()) {
    if (std::optional<JobOrBadLine> item = impl_->begin(*line)) return item;
  }
  return std::nullopt;
}

bool JobsReader::ended() const { return impl_->lines.ended() && !impl_->request; }

}  // namespace brume::batch
