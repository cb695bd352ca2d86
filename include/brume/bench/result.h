#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/bench/profile.h"
#include "brume/bench/statistics.h"

namespace brume::bench {

/// What is measured: two results are comparable where all of this is the same.
struct Workload {
  std::string arch;     // sd15, sd21, sdxl, tiny, or the name of a model's directory
  std::string weights;  // "random" or "model"
  int64_t width = 0;
  int64_t height = 0;
  int64_t batch_size = 1;  // pictures in one call of the UNet
  int64_t steps = 0;
  std::string sampler;
  double cfg_scale = 0;
  std::string dtype;
  std::string device;
  std::map<std::string, std::string> options = {};  // what not every run uses: {"pag_scale", "3"}
};

/// What it is measured on.
struct Machine {
  std::string version;      // of brume
  std::string device_name;  // as the processor calls itself
  int64_t threads = 1;
  std::string instruction_set;  // that libtorch's kernels use
};

/// A part of the work, done many times.
struct Component {
  std::vector<double> seconds;  // of each time
  size_t row = 1;               // how many come in a row
  std::optional<double> flop;   // of one time, where it is known

  Summary summary() const { return summarize_rows(seconds, row); }
  /// Floating point operations a second, at the median.
  std::optional<double> rate() const;
};

/// What the machine did meanwhile.
struct Conditions {
  double peak_before = 0;                  // flop a second of a convolution, before the rounds
  double peak_after = 0;                   // and after them
  std::optional<double> waited_share;      // of the time, that the main thread was ready and had no processor
  std::optional<int64_t> throttle_events;  // that the processors counted

  double peak() const;
  double peak_change() const;
};

/// Rounds of words, steps and decoding, as `brume generate` does them, one after the other.
struct Result {
  Workload workload;
  Machine machine;
  Component text;              // the words of the prompt, and of its negative half
  Component step;              // one denoising step of the whole batch
  Component decode;            // one picture
  std::vector<double> rounds;  // seconds of each round: a batch of pictures from words to pixels
  double load_seconds = 0;
  int64_t peak_memory_bytes = 0;
  Conditions conditions;
  bool converged = false;          // the intervals became narrow enough before the limits
  std::string failed_stage;        // where a picture's numbers overflowed; empty where all are sound
  std::vector<Operation> profile;  // of one more round, where it was asked for
  bool repeatable = true;          // every round gave the same pictures, byte for byte

  /// Denoising steps of a picture: a step of a batch of two counts twice.
  double steps_per_second() const;
  double pictures_per_second() const;
  /// By how much the machine's pace may have changed meanwhile, as a share: drift, a convolution's pace
  /// before and after, and other programs, each beyond what every run shows.
  double unsteadiness() const;
  /// Their 95 % intervals; six rounds or more.
  std::optional<Interval> steps_interval() const;
  std::optional<Interval> pictures_interval() const;
};

/// What a reader should know before trusting the numbers, a line each.
std::vector<std::string> remarks(const Result& result);

}  // namespace brume::bench
