#include "brume/bench/result.h"

#include <algorithm>
#include <cmath>

#include "number_text.h"

namespace brume::bench {

namespace {

constexpr double kNotable = 0.05;  // a change of the machine's pace
constexpr double kMuchWaiting = 0.02;

double per_second(double count, const Summary& seconds) {
  return seconds.median > 0 ? count / seconds.median : 0;
}

std::optional<Interval> interval_per_second(double count, const Summary& seconds) {
  if (!seconds.interval || seconds.interval->low <= 0) return {};
  return Interval{count / seconds.interval->high, count / seconds.interval->low};
}

std::string width_text(const Summary& summary) {
  const std::optional<double> spread = summary.spread();
  return spread ? percent_text(*spread) + " wide" : "not known";
}

void remark_on_pace(const Result& result, std::vector<std::string>& lines) {
  if (const std::optional<double> change = drift(result.step.seconds); change && std::abs(*change) > kNotable)
    lines.push_back("drift: the last third of the steps took " + percent_text(std::abs(*change)) +
                    (*change > 0 ? " longer" : " less") + " than the first");
  const Conditions& conditions = result.conditions;
  if (conditions.peak_change() < -kNotable)
    lines.push_back("a slower device: a convolution ran " + percent_text(-conditions.peak_change()) +
                    " slower after the rounds than before them, by throttling or other programs");
  if (conditions.throttle_events.value_or(0) > 0)
    lines.push_back("throttling: the processors slowed down " + std::to_string(*conditions.throttle_events) +
                    " times for heat");
  if (conditions.waited_share.value_or(0) > kMuchWaiting)
    lines.push_back("a busy machine: for " + percent_text(*conditions.waited_share) +
                    " of the time other programs had the processor");
}

}  // namespace

std::optional<double> Component::rate() const {
  const Summary times = summary();
  if (!flop || times.median <= 0) return {};
  return *flop / times.median;
}

double Conditions::peak() const { return std::max(peak_before, peak_after); }

double Conditions::peak_change() const { return peak_before > 0 ? peak_after / peak_before - 1 : 0; }

double Result::steps_per_second() const {
  return per_second(static_cast<double>(workload.batch_size), step.summary());
}

double Result::pictures_per_second() const {
  return per_second(static_cast<double>(workload.batch_size), summarize(rounds));
}

double Result::unsteadiness() const {
  const auto beyond = [](double change, double usual) { return std::max(0.0, std::abs(change) - usual); };
  return beyond(drift(step.seconds).value_or(0), kNotable) + beyond(conditions.peak_change(), kNotable) +
         beyond(conditions.waited_share.value_or(0), kMuchWaiting);
}

std::optional<Interval> Result::steps_interval() const {
  return interval_per_second(static_cast<double>(workload.batch_size), step.summary());
}

std::optional<Interval> Result::pictures_interval() const {
  return interval_per_second(static_cast<double>(workload.batch_size), summarize(rounds));
}

std::vector<std::string> remarks(const Result& result) {
  std::vector<std::string> lines;
  if (!result.converged)
    lines.push_back("not settled: the 95 % interval is " + width_text(result.step.summary()) +
                    " for steps, " + width_text(summarize(result.rounds)) +
                    " for pictures; more time or a quieter machine helps");
  remark_on_pace(result, lines);
  if (!result.repeatable) lines.emplace_back("the same seeds gave other pictures in another round");
  if (result.workload.weights == "random")
    lines.emplace_back("random weights: the load time is that of drawing them");
  return lines;
}

}  // namespace brume::bench
