#pragma once
#include <string>
#include <vector>

#include "brume/bench/report.h"

namespace brume::bench {

/// "sd15 (random weights), 512x512, batch 1, 20 steps of ddim, guidance 7, fp32"
std::string workload_text(const Workload& workload);
/// "cpu: AMD EPYC, 2 threads, AVX512; brume 0.1.0"
std::string machine_text(const Result& result);

/// The parts of a result that people read, as words: the table's and the page's rows.
struct Row {
  std::string name;
  std::string median;
  std::string interval;
  std::string times;
  std::string rate;   // GFLOP/s
  std::string share;  // of the device's peak
};
inline const Row kComponentHeads{"", "median", "95 % interval, ms", "times", "GFLOP/s", "of peak"};
inline const Row kProfileHeads{"operation", "in a round", "share of it", "calls", "GFLOP/s", "of peak"};
/// A row for each operation of the profile: its whole time, its calls and its rate.
std::vector<Row> profile_rows(const Result& result);
std::vector<Row> component_rows(const Result& result);

struct Fact {
  std::string name;
  std::string value;
};
std::vector<Fact> facts(const Report& report);

}  // namespace brume::bench
