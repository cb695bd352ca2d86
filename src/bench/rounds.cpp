#include "brume/bench/rounds.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace brume::bench {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Takes the time of every step of one generation.
class StepClock : public Observer {
 public:
  StepClock(const RoundsProgress& progress, const std::function<bool(const RoundsProgress&)>& go_on)
      : progress_(progress), go_on_(go_on) {}

  void on_stage(std::string_view name, const at::Tensor& /*tensor*/) override {
    if (name == "context" || name == "pooled") last_ = Clock::now();  // the loop begins after the words
  }
  void on_step(int64_t done, int64_t /*total*/) override {
    const Clock::time_point now = Clock::now();
    seconds_.push_back(seconds_between(last_, now));
    progress_.step = done;
    stopped_ = stopped_ || !go_on_(progress_);
    last_ = Clock::now();
  }
  bool stop_requested() override { return stopped_; }

  const std::vector<double>& seconds() const { return seconds_; }

 private:
  RoundsProgress progress_;
  const std::function<bool(const RoundsProgress&)>& go_on_;
  Clock::time_point last_ = Clock::now();
  std::vector<double> seconds_;
  bool stopped_ = false;
};

bool same_pictures(const std::vector<Picture>& left, const std::vector<Picture>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const Picture& a, const Picture& b) { return a.pixels == b.pixels; });
}

/// One run of rounds.
class Drawing {
 public:
  Drawing(const Pipeline& pipeline, Request request, const Limits& limits,
          const std::function<bool(const RoundsProgress&)>& go_on)
      : pipeline_(pipeline), request_(std::move(request)), limits_(limits), go_on_(go_on) {}

  Rounds draw() {
    rounds_.step.row = pipeline_.gpu() == nullptr ? static_cast<size_t>(request_.sampling.steps) : 1;
    for (int64_t i = 0; i < limits_.warm_up && !rounds_.stopped; ++i) warm_up();
    const Clock::time_point start = Clock::now();
    while (!rounds_.stopped && rounds_.failed_stage.empty()) {
      measure();
      rounds_.converged = narrow(rounds_.step.summary()) && narrow(summarize(rounds_.seconds));
      const auto count = static_cast<int64_t>(rounds_.seconds.size());
      if (rounds_.converged || count >= limits_.most_rounds) break;
      if (seconds_between(start, Clock::now()) >= limits_.most_seconds) break;
    }
    return std::move(rounds_);
  }

 private:
  /// Two steps see every kernel once, and the second the memory that the first has left.
  void warm_up() {
    Request shorter = request_;
    shorter.sampling.steps = std::min<int64_t>(shorter.sampling.steps, 2);
    StepClock clock({}, go_on_);
    rounds_.stopped = pipeline_.generate(shorter, clock).stopped;
  }

  void measure() {
    const auto number = static_cast<int64_t>(rounds_.seconds.size()) + 1;
    StepClock clock({.round = number, .steps = rounds_.step.summary()}, go_on_);
    const Clock::time_point start = Clock::now();
    const Generation drawn = pipeline_.generate(request_, clock);
    const double seconds = seconds_between(start, Clock::now());
    rounds_.stopped = drawn.stopped;
    if (drawn.stopped) return;
    rounds_.seconds.push_back(seconds);
    rounds_.text.seconds.push_back(drawn.times.text_seconds);
    add_steps(clock, drawn.times.denoise_seconds);
    const auto count = static_cast<double>(request_.seeds.size());
    rounds_.decode.seconds.push_back(drawn.times.decode_seconds / count);
    keep(drawn);
  }

  /// The processor runs some steps before a GPU: there only all of a round's have a time.
  void add_steps(const StepClock& clock, double denoise_seconds) {
    std::vector<double>& samples = rounds_.step.seconds;
    if (pipeline_.gpu() == nullptr)
      samples.insert(samples.end(), clock.seconds().begin(), clock.seconds().end());
    else
      samples.push_back(denoise_seconds / static_cast<double>(request_.sampling.steps));
  }

  void keep(const Generation& drawn) {
    std::vector<Picture> pictures;
    for (const PictureResult& result : drawn.pictures) {
      if (!result.failed_stage.empty()) rounds_.failed_stage = result.failed_stage;
      pictures.push_back(result.picture.value_or(Picture{}));
    }
    if (!rounds_.pictures.empty())
      rounds_.repeatable = rounds_.repeatable && same_pictures(rounds_.pictures, pictures);
    rounds_.pictures = std::move(pictures);
  }

  bool narrow(const Summary& summary) const {
    const std::optional<double> spread = summary.spread();
    return spread && *spread <= limits_.spread;
  }

  const Pipeline& pipeline_;
  Request request_;
  Limits limits_;
  const std::function<bool(const RoundsProgress&)>& go_on_;
  Rounds rounds_;
};

}  // namespace

Rounds draw_rounds(const Pipeline& pipeline, const Request& request, const Limits& limits,
                   const std::function<bool(const RoundsProgress&)>& go_on) {
  return Drawing(pipeline, request, limits, go_on).draw();
}

}  // namespace brume::bench
