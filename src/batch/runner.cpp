#include "brume/batch/runner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "bounded_queue.h"
#include "brume/base/error.h"
#include "brume/base/threads.h"
#include "busier.h"
#include "in_turn.h"

namespace brume::batch {

namespace {

using Clock = std::chrono::steady_clock;

struct Ready {
  Work work;
  std::optional<PictureMaterial> material;
  std::string failure;
};

struct Denoised {
  Request request;
  DenoisedRow row;
  uint64_t number;  // in the order in which they left the UNet
};

}  // namespace

/// What a step takes usually: one alone may have waited for a GPU's kernels to be measured, or for nothing.
class StepTime {
 public:
  using Seconds = std::chrono::duration<double>;

  void add(Seconds step) {
    last_.push_back(step);
    if (last_.size() > kLooks) last_.pop_front();
  }
  /// The median of the last ones; nothing before the first.
  Seconds usual() const {
    if (last_.empty()) return Seconds(0);
    std::vector<Seconds> sorted(last_.begin(), last_.end());
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                     sorted.end());
    return sorted[sorted.size() / 2];
  }

 private:
  static constexpr size_t kLooks = 5;
  std::deque<Seconds> last_;
};

/// One run: reader -> (words) -> rows of the UNet -> decoder -> writer. The rows are led by the caller's
/// thread.
class Runner::Run {
 public:
  explicit Run(Runner& runner)
      : runner_(runner),
        settings_(runner.settings_),
        beside_(settings_.phases == Phases::kBeside),
        most_waiting_(static_cast<size_t>(4 * settings_.most_rows)),
        ready_(static_cast<size_t>(settings_.most_rows) + 1),
        denoised_(static_cast<size_t>(settings_.most_rows) + 1),
        made_(kMostUnwritten),
        rows_(runner.pipeline_, settings_.calls) {}

  bool go() {
    std::thread reader;
    std::thread decoder;
    std::thread writer;
    guarded([&] {
      use_threads(settings_.threads, beside_ ? 3 : 2);
      // From the last phase on: where one has no room, nothing has been read yet.
      writer = start_thread([this] {
        guarded([this] { write_all(); });
        made_.abandon();
      });
      if (beside_) {
        decoder = start_thread([this] {
          guarded([this] { decode_all(); });
          denoised_.abandon();
        });
      }
      reader = start_thread([this] { guarded([this] { read(); }); });
      denoise_all();
      help_decoding();
    });
    ready_.abandon();
    if (reader.joinable()) reader.join();
    denoised_.close();
    if (decoder.joinable()) decoder.join();
    made_.close();
    if (writer.joinable()) writer.join();
    if (failure_) std::rethrow_exception(failure_);
    // A stop may also have ended the source, while there was nothing to draw.
    return !stop_at_ && !runner_.stop_requested_();
  }

 private:
  static constexpr size_t kMostUnwritten = 4;

  /// Runs a phase; its exception ends the run, and what the phases behind it hold is still finished. Those
  /// before it must not wait for room that nobody makes.
  template <class Phase>
  void guarded(const Phase& phase) {
    try {
      phase();
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
      runner_.ending_ = true;
      ready_.abandon();
    }
  }

  void read() {
    if (beside_) at::set_num_threads(1);
    while (std::optional<Work> work = runner_.source_()) {
      Ready ready{std::move(*work), {}, {}};
      if (beside_) encode(ready);
      if (!ready_.push(std::move(ready))) return;
    }
    ready_.close();
  }

  void encode(Ready& ready) {
    const Busier busier(runner_.busy_.text);
    try {
      ready.material = runner_.pipeline_.material(ready.work.request, recent_prompts_);
    } catch (const Error& error) {
      // This one does not fit the model, or its prompt or picture cannot be read; others may.
      if (error.code() != ExitCode::kUsage && error.code() != ExitCode::kInputInvalid) throw;
      ready.failure = error.what();
    }
  }

  void denoise_all() {
    while (true) {
      fill_rows();
      if (stopping()) return;
      if (rows_.size() > 0) {
        step();
      } else if (waiting_.empty()) {
        std::optional<Ready> next = ready_.pop();
        if (!next) return;
        waiting_.push_back(std::move(*next));
      }
    }
  }

  void fill_rows() {
    if (stop_at_) return;
    while (waiting_.size() < most_waiting_) {
      std::optional<Ready> next = ready_.pop_now();
      if (!next) break;
      waiting_.push_back(std::move(*next));
    }
    for (auto next = waiting_.begin(); next != waiting_.end() && may_join();) {
      const Request& request = next->work.request;
      if (rows_.size() == 0) size_ = {request.width, request.height};
      if (size_ == std::pair(request.width, request.height)) {
        if (next != waiting_.begin())
          ++overtaken_;
        else
          overtaken_ = 0;
        join(std::move(*next));
        next = waiting_.erase(next);
      } else {
        ++next;
      }
    }
  }

  /// A picture of another size waits for the rows to end; not for ever, though others of their size come.
  bool may_join() const {
    return static_cast<int64_t>(rows_.size()) < settings_.most_rows &&
           (rows_.size() == 0 || overtaken_ < static_cast<int64_t>(most_waiting_));
  }

  void join(Ready ready) {
    if (!ready.material && ready.failure.empty()) encode(ready);
    const uint64_t ticket = ready.work.ticket;
    if (!ready.failure.empty()) {
      made_.push({ticket, {}, ready.failure});
      return;
    }
    const Busier busier(runner_.busy_.denoise);
    rows_.join(ticket, ready.work.request, std::move(*ready.material));
    requests_.emplace(ticket, std::move(ready.work.request));
  }

  void step() {
    std::vector<DenoisedRow> ended;
    {
      const auto start = Clock::now();
      const Busier busier(runner_.busy_.denoise);
      ended = rows_.advance();
      step_time_.add(Clock::now() - start);
    }
    runner_.steps_done_ = rows_.steps_done();
    for (DenoisedRow& row : ended) {
      auto request = requests_.extract(row.ticket);
      Denoised denoised{std::move(request.mapped()), std::move(row), left_unet_++};
      if (beside_) {
        denoised_.push(std::move(denoised));
      } else {
        made_.push(decoded(denoised));
      }
    }
  }

  /// After a stop: pictures that the grace is long enough for go on, the others are given up.
  bool stopping() {
    if (failed_) return true;
    if (!stop_at_) {
      if (!runner_.stop_requested_()) return false;
      runner_.ending_ = true;
      stop_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(settings_.grace);
      decode_until_ = stop_at_->time_since_epoch().count();
      waiting_.clear();
      ready_.abandon();
      rows_.leave_if(
          [this](int64_t calls_left) { return calls_left * step_time_.usual() > settings_.grace; });
    }
    return rows_.size() == 0 || Clock::now() + step_time_.usual() > *stop_at_;
  }

  void decode_all() {
    at::set_num_threads(1);
    Clock::duration decode_time{};
    while (const std::optional<Denoised> denoised = denoised_.pop()) {
      const InTurn::Turn turn(decoding_, denoised->number);
      const auto start = Clock::now();
      // After a stop those are given up that the grace is too short for.
      if ((start + decode_time).time_since_epoch().count() > decode_until_) continue;
      Made made = decoded(*denoised);
      decode_time = Clock::now() - start;
      turn.wait();
      made_.push(std::move(made));
    }
  }

  /// The last pictures leave the UNet together, and its core has nothing else to do.
  void help_decoding() {
    denoised_.close();
    if (beside_ && runner_.pipeline_.gpu() == nullptr) decode_all();
  }

  Made decoded(const Denoised& denoised) const {
    const std::string& stage = denoised.row.failed_stage;
    Made made{denoised.row.ticket, {}, stage};
    if (stage.empty()) {
      const Busier busier(runner_.busy_.decode);
      made.result = runner_.pipeline_.decode(denoised.request, denoised.row.latents, denoised.row.inputs);
      made.failure = made.result.failed_stage;
      made.result.notes.insert(made.result.notes.begin(), denoised.row.notes.begin(),
                               denoised.row.notes.end());
      const UnreadWords unread = runner_.pipeline_.unread(denoised.request, PromptRole::kPrompt);
      if (const int64_t cut = unread.tokens_cut; cut > 0)
        made.result.notes.push_back(std::string(kPromptCut) + " " + std::to_string(cut));
      if (!unread.ignored.empty())
        made.result.notes.push_back(std::string(kPromptIgnored) + " " + unread.ignored.front());
    }
    if (!made.failure.empty()) made.failure = "its numbers are not finite (" + made.failure + ")";
    return made;
  }

  void write_all() {
    while (std::optional<Made> made = made_.pop()) {
      const Busier busier(runner_.busy_.write);
      runner_.sink_(std::move(*made));
    }
  }

  Runner& runner_;
  const RunnerSettings& settings_;
  const bool beside_;  // words and decoding have threads of their own
  std::atomic<Clock::rep> decode_until_ = std::numeric_limits<Clock::rep>::max();
  const size_t most_waiting_;
  RecentPrompts recent_prompts_;  // of the reader's thread, or the caller's
  BoundedQueue<Ready> ready_;
  BoundedQueue<Denoised> denoised_;
  BoundedQueue<Made> made_;
  uint64_t left_unet_ = 0;  // pictures
  InTurn decoding_;         // several threads
  DenoisingRows rows_;
  std::deque<Ready> waiting_;             // read, and not on their way yet
  std::map<uint64_t, Request> requests_;  // on their way
  std::pair<int64_t, int64_t> size_;      // of these
  int64_t overtaken_ = 0;                 // how many went before the one that waits longest
  StepTime step_time_;
  std::optional<Clock::time_point> stop_at_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::atomic<bool> failed_ = false;
};

Runner::Runner(const Pipeline& pipeline, const RunnerSettings& settings, Source source, Sink sink,
               std::function<bool()> stop_requested)
    : pipeline_(pipeline),
      settings_(settings),
      source_(std::move(source)),
      sink_(std::move(sink)),
      stop_requested_(std::move(stop_requested)) {}

bool Runner::run() { return Run(*this).go(); }

}  // namespace brume::batch
